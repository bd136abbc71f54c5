"""The deployment guide's logs, line by line: what of them ours promise, and where ours differ."""

from __future__ import annotations

import re

_TIME = r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO  "

#: The guide's line (without its time) -> a pattern for ours, or None where there is none, with the reason.
AGENT: dict[str, tuple[str | None, str]] = {
    "ttrpc::sync::server] server listen started": (None, "a line of the Rust library ttrpc; ours is asyncio"),
    "ttrpc::sync::server] server started": (None, "a line of the Rust library ttrpc; ours is asyncio"),
    "vaccel_rpc_agent] vAccel RPC agent started": (
        rf"{_TIME}agent\] vAccel RPC agent started",
        "target: agent, not vaccel_rpc_agent",
    ),
    "vaccel_rpc_agent] Listening on 'unix:///var/run/vaccel/vaccel.sock', press Ctrl+C to exit": (
        rf"{_TIME}agent\] Listening on 'unix:///var/run/vaccel/vaccel\.sock', press Ctrl\+C to exit",
        "target",
    ),
    "vaccel_rpc_agent] Listening on 'tcp://0.0.0.0:8888', press Ctrl+C to exit": (
        rf"{_TIME}agent\] Listening on 'tcp://0\.0\.0\.0:8888', press Ctrl\+C to exit",
        "target",
    ),
    "vaccel_rpc_agent::session] Created session 1": (rf"{_TIME}agent\.session\] Created session 1", "target: a dot for ::"),
    "vaccel_rpc_agent::resource] Creating new resource": (rf"{_TIME}agent\.resource\] Creating new resource", "target"),
    "vaccel_rpc_agent::resource] Registering resource 1 with session 1": (
        rf"{_TIME}agent\.resource\] Registering resource 1 with session 1",
        "target",
    ),
    "vaccel_rpc_agent::ops::torch] session:1 PyTorch jitload forward": (
        rf"{_TIME}agent\.ops\.torch\] session:1 PyTorch jitload forward",
        "target",
    ),
}
CLIENT: dict[str, tuple[str | None, str]] = {
    "<info> vAccel 0.7.0-7-e67e52b6": (None, "ours names itself, if VACCEL_LOG_LEVEL is 3 or 4"),
    "<info> Registered plugin rpc 0.2.0-1-eca9e440": (None, "ours needs no plugin"),
    "Processing 26954 lines from: /data/tweets.txt": (r"Processing 1000 lines from: /data/tweets\.txt", "the file is another"),
    "== [Vocab Loaded] ==": (r"== \[Vocab Loaded\] ==", "the same"),
    "<warn> Path does not seem to have a `<prefix>://`": (None, "the C library's own"),
    "<warn> Assuming cnn_trace.pt is a local path": (None, "the C library's own"),
    "vaccel_resource_new(): Time Taken: 68500 nanoseconds": (
        r"vaccel_resource_new\(\): Time Taken: [1-9]\d* nanoseconds",
        "the same; ours is the time of registering the model with the agent",
    ),
    "Created new model resource 1": (r"Created new model resource 1", "the same"),
    "Initialized vAccel session 1": (r"Initialized vAccel session 1", "the same"),
    "Line 1: Duration: 497.627 ms Prediction: neither": (r"Line 1: Duration: [\d.]+ ms Prediction: \S+", "the model is another"),
}


def promised(table: dict[str, tuple[str | None, str]], *but: str) -> list[str]:
    """The patterns of a table, in the guide's order, without those for lines that hold any of ``but``."""
    return [pattern for line, (pattern, _) in table.items() if pattern and not any(word in line for word in but)]


def missing_lines(log: str, patterns: list[str]) -> list[str]:
    """The patterns that no line of the log fits, each looked for after the one before."""
    missing, at = [], 0
    for pattern in patterns:
        match = re.compile(rf"^{pattern}$", re.MULTILINE).search(log, at)
        if match:
            at = match.end()
        else:
            missing.append(pattern)
    return missing
