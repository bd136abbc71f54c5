"""Upstream's options: which of them act, and what RUST_LOG means here."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import AgentConfig
from agent.upstream_options import rust_log, vaccel_config
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("info", "info"),
        ("WARN", "warn"),
        ("trace", "debug"),
        ("off", "error"),
        ("vaccel_rpc_agent=debug", "debug"),
        ("warn,vaccel_rpc_agent=debug", "debug"),
        ("vaccel_rpc_agent::ops=error,debug", "error"),
        ("agent.ops.torch=warn", "warn"),
        ("vaccel_rpc_agent", "debug"),
        ("warn,vaccel_rpc_agent", "debug"),
        ("ttrpc=debug", "info"),
        ("ttrpc=debug,error", "error"),
        ("debug/create", "debug"),
        ("nonsense", "info"),
        ("vaccel_rpc_agent=loud", "info"),
        ("", "info"),
    ],
)
def test_rust_log(text: str, level: str) -> None:
    """The agent's own target counts more than a level for all; what cannot be read is ignored."""
    assert rust_log(text) == level


@given(st.text())
def test_rust_log_never_fails(text: str) -> None:
    """Whatever another program's variable holds, the agent starts."""
    assert rust_log(text) in ("debug", "info", "warn", "error")


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({}, "info"),
        ({"rust_log": "warn"}, "warn"),
        ({"rust_log": "warn", "log_level": "error"}, "error"),
        ({"log_level": "error", "vaccel_config": vaccel_config("log_level=4")}, "debug"),
        ({"vaccel_config": vaccel_config("log_level=1,log_level=warn")}, "warn"),
    ],
)
def test_the_order_in_which_options_set_the_level(options: dict[str, Any], level: str) -> None:
    """--vaccel-config, --log-level, RUST_LOG, info."""
    assert AgentConfig(**options).effective_log_level == level


def test_every_key_of_upstream_is_accepted() -> None:
    """Three act; the others are named as without effect."""
    config = vaccel_config("plugins=libvaccel-torch.so,log_file=/tmp/a=b,profiling_enabled=false,version_ignore=1")
    assert (config.log_file, config.profiled, config.ignored) == ("/tmp/a=b", False, ["plugins", "version_ignore"])
    assert vaccel_config("plugins=a,plugins=b").ignored == ["plugins"]
    assert vaccel_config("").profiled
    assert vaccel_config(str(config)) == config


def test_a_log_file_that_cannot_be_opened_is_named() -> None:
    """The agent says which file it is, and why, before it does anything else."""
    command = [sys.executable, "-m", "agent", "--vaccel-config", "log_file=/nowhere/agent.log"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "--vaccel-config log_file: /nowhere/agent.log: No such file or directory" in ended.stderr
