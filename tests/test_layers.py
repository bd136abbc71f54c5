"""Which package may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

OURS = {
    "agent",
    "function",
    "vaccel_common",
    "vaccel_rpc",
    "models",
    "export",
    "training",
    "knative",
    "tests",
    "benchmarks",
    "scripts",
    "loadtests",
}
MAY = {
    "vaccel_common": {"vaccel_common"},
    "vaccel_rpc": {"vaccel_rpc", "vaccel_common"},
    "agent": {"agent", "vaccel_common", "vaccel_rpc"},
    "function": {"function", "vaccel_common", "vaccel_rpc"},
    "models": {"models", "export", "training"},
    "training": {"training"},
    "export": {"export", "training", "vaccel_common"},
    "loadtests": {"loadtests", "function", "vaccel_common", "vaccel_rpc"},
    "knative": {"knative", "vaccel_common", "vaccel_rpc"},
}
#: Third-party package -> the only files that may import it.
ONLY = {
    "torch": ("agent/engines/torch/program.py", "agent/engines/torch/halves.py", "export/", "training/"),
    "flask": ("function/web/",),
    "werkzeug": ("function/web/",),
    "cheroot": ("agent/watch.py", "agent/metrics.py"),
    "uvicorn": ("function/server/serving.py", "function/server/connection.py", "function/server/parser.py"),
    "httptools": ("function/server/connection.py", "function/server/parser.py"),
    "opentelemetry": ("vaccel_common/otel.py",),
    "prometheus_client": ("function/metrics.py", "agent/watch.py", "agent/metrics.py", "knative/agents.py"),
    "cloudevents": ("function/web/events.py",),
    "grpc": ("agent/transports/grpc.py", "vaccel_rpc/channels/grpc.py"),
    "numpy": ("export/", "training/"),
    "gevent": ("loadtests/",),
    "locust": ("loadtests/",),
    "transformers": ("export/", "training/"),
    "tokenizers": ("function/tokens.py", "function/vocab.py", "export/", "training/"),
    "kubernetes": ("knative/cluster.py", "knative/connect.py"),
    "rich": ("knative/output.py",),
    "urllib3": ("knative/cluster.py", "knative/connect.py", "knative/ingress.py"),
}
#: A part of the agent -> what it may not import, so that a request goes in one direction.
BELOW = {
    "agent/batching/batcher.py": ("agent.service", "agent.store", "agent.transports", "agent.engines"),
    "agent/store/models.py": ("agent.service", "agent.transports", "agent.engines", "agent.batching"),
    "agent/sessions.py": ("agent.service", "agent.transports", "agent.engines", "agent.batching"),
    "agent/service.py": ("agent.transports", "agent.server", "agent.engines.torch", "socket"),
    "agent/engines/torch/program.py": ("agent.service", "agent.transports", "agent.store", "agent.sessions"),
    "vaccel_rpc/frames.py": ("socket", "threading", "asyncio"),
    "vaccel_rpc/wire.py": ("socket", "threading", "asyncio"),
    "function/asked.py": ("http", "function.web", "function.classify"),
    "function/openinference.py": ("http", "function.web", "function.service"),
    "function/service.py": ("http", "function.web"),
    "function/classify.py": ("vaccel_rpc.remote", "vaccel_rpc.channels", "http", "function.web", "function.asked"),
    "knative/cluster.py": ("knative.commands", "knative.output", "knative.manifests", "click"),
    **dict.fromkeys(
        [f"knative/{name}.py" for name in ("why", "states", "answers", "warm", "overrides", "manifests", "refusals", "objects")],
        ("knative.cluster", "knative.connect", "knative.session", "knative.ingress", "urllib3", "socket"),
    ),
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


#: ``models/build`` is what training writes; the legacy function root is no part of its package.
SOURCES = sorted(
    path for package in MAY for path in (ROOT / package).rglob("*.py") if not {"build", "parliament"} & set(path.parts)
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_what_its_layer_may(path: Path) -> None:
    """A package imports the packages it may, and a library is known to the modules that wrap it."""
    place = str(path.relative_to(ROOT))
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in OURS or top in MAY[place.split("/")[0]], f"{place} imports {name}"
        assert top not in ONLY or place.startswith(ONLY[top]), f"{place} imports {name}"
        assert not name.startswith(BELOW.get(place, ("\0",))), f"{place} imports {name}"
