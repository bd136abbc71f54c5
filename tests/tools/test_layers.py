"""Which package may import which, tests included."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import ROOT

#: Package -> the packages of ours that it may import. Each stands below those that import it.
MAY = {
    "vaccel_common": {"vaccel_common"},
    "vaccel_rpc": {"vaccel_rpc", "vaccel_common"},
    "agent": {"agent", "vaccel_common", "vaccel_rpc"},
    "function": {"function", "vaccel_common", "vaccel_rpc"},
    "training": {"training", "vaccel_common"},
    "export": {"export", "training", "agent", "function", "vaccel_common", "vaccel_rpc"},
    "models": {"models", "export", "training", "vaccel_common"},
    "loadkit": {"loadkit"},
    "loadtests": {"loadkit", "loadtests", "function", "vaccel_common", "vaccel_rpc"},
    "knative": {"knative", "loadkit", "vaccel_common", "vaccel_rpc"},
    "benchmarks": {"benchmarks", "loadkit", "agent", "function", "vaccel_common", "vaccel_rpc"},
    "scripts": {
        "scripts",
        "loadkit",
        "agent",
        "function",
        "vaccel_common",
        "vaccel_rpc",
        "knative",
        "loadtests",
        "benchmarks",
        "export",
    },
    "docker": {"docker"},
}
#: Packages that may use any library.
UNRULED = {"benchmarks", "scripts", "docker"}
#: Packages of tests, each of which may import itself, `tests.support` and all that is tested.
TESTS = sorted(path.parent.name for path in (ROOT / "tests").glob("*/__init__.py"))
#: Third-party package -> the only files that may import it.
ONLY = {
    "torch": ("agent/engines/torch/", "export/", "training/"),
    "onnxruntime": ("agent/engines/onnx/", "export/"),
    "flask": ("function/web/",),
    "werkzeug": ("function/web/", "function/runtimes/parliament.py"),
    "cheroot": ("agent/webserver.py",),
    "uvicorn": ("function/server/serving.py", "function/server/lifecycle.py", "function/server/parser.py"),
    "httptools": ("function/server/connection.py", "function/server/parser.py"),
    "opentelemetry": ("vaccel_common/otel.py",),
    "prometheus_client": ("function/telemetry/metrics.py", "agent/monitoring.py", "agent/metrics.py", "knative/look/agents.py"),
    "cloudevents": ("function/web/events.py",),
    "grpc": ("agent/transports/grpc.py", "vaccel_rpc/channels/grpc.py"),
    "numpy": ("agent/engines/", "agent/imaging/", "export/", "training/"),
    "PIL": ("agent/imaging/",),
    "gevent": ("loadtests/",),
    "locust": ("loadtests/",),
    "transformers": ("export/", "training/"),
    "tokenizers": ("function/core/tokens.py", "function/cli/vocab.py", "export/", "training/"),
    "kubernetes": ("knative/cluster/api.py", "knative/cluster/connect.py"),
    "urllib3": ("knative/cluster/api.py", "knative/cluster/connect.py", "knative/verify/ingress.py"),
}
#: A package, or a file of one -> what it may not import: a request goes in one direction.
BELOW = {
    "vaccel_rpc/frames.py": ("socket", "threading", "asyncio"),
    "vaccel_rpc/wire.py": ("socket", "threading", "asyncio"),
    "agent/engines/": ("agent.batching", "agent.store", "agent.service", "agent.sessions", "agent.transports", "agent.server"),
    "agent/batching/": (
        "agent.engines.torch",
        "agent.engines.onnx",
        "agent.service",
        "agent.sessions",
        "agent.store",
        "agent.transports",
        "agent.server",
    ),
    "agent/store/": (
        "agent.engines.torch",
        "agent.engines.onnx",
        "agent.batching",
        "agent.service",
        "agent.sessions",
        "agent.transports",
        "agent.server",
    ),
    "agent/imaging/": (
        *("agent.engines", "agent.batching", "agent.store", "agent.sessions", "agent.calls", "agent.operations"),
        *("agent.service", "agent.transports", "agent.server", "agent.config"),
    ),
    "agent/listening.py": ("agent",),
    "agent/sessions.py": ("agent.engines", "agent.batching", "agent.service", "agent.transports", "agent.server"),
    "agent/calls.py": ("agent.engines", "agent.batching", "agent.store", "agent.operations", "agent.service", "agent.transports"),
    "agent/operations/": (
        "agent.engines.torch",
        "agent.engines.onnx",
        "agent.service",
        "agent.transports",
        "agent.server",
        "socket",
    ),
    "agent/service.py": ("agent.engines", "agent.transports", "agent.server", "socket"),
    "agent/transports/": ("agent.engines", "agent.batching", "agent.store", "agent.operations", "agent.server"),
    "function/core/": (
        *("function.web", "function.server", "function.telemetry", "function.runtimes", "function.cli", "function.assembly"),
        *("function.config", "vaccel_rpc.channels", "vaccel_rpc.remote", "http.server", "flask", "werkzeug"),
    ),
    "function/core/request.py": ("http", "function.core.classifier"),
    "function/core/openinference.py": ("http", "function.core.service"),
    "function/core/service.py": ("http",),
    "function/core/classifier.py": ("http", "function.core.request"),
    "function/telemetry/": ("function.web", "function.server", "function.runtimes", "function.assembly", "function.config"),
    "function/web/": ("function.server", "function.runtimes", "function.cli", "function.assembly", "function.config"),
    "function/server/": ("function.web", "function.runtimes", "function.cli", "function.assembly", "function.config"),
    "function/cli/": ("function.web", "function.server", "function.runtimes", "function.assembly"),
    "knative/cluster/": ("knative.apply", "knative.look", "knative.verify", "knative.cli", "click"),
    "knative/apply/": ("knative.look", "knative.verify", "knative.cli", "click"),
    "knative/look/": ("knative.apply", "knative.verify", "knative.cli", "click"),
    "knative/verify/": ("knative.apply", "knative.cli", "click"),
    **dict.fromkeys(
        [
            *(f"knative/apply/{name}.py" for name in ("manifests", "overrides", "reason", "states", "why")),
            *("knative/cluster/objects.py", "knative/cluster/refusals.py", "knative/verify/answers.py", "knative/verify/warm.py"),
        ],
        ("knative.cluster.api", "knative.cluster.connect", "knative.verify.ingress", "urllib3", "socket"),
    ),
}


def within(name: str, modules: Iterable[str]) -> bool:
    """Whether a dotted name is one of the modules, or in one."""
    return any(name == module or name.startswith(module + ".") for module in modules)


def imports(path: Path) -> set[str]:
    """The dotted names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return names


#: ``models/build`` is what training writes; the legacy function root is no part of its package.
SOURCES = sorted(
    path for package in MAY for path in (ROOT / package).rglob("*.py") if not {"build", "parliament"} & set(path.parts)
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_what_its_layer_may(path: Path) -> None:
    """A package imports the packages it may, and a library is known to the modules that wrap it."""
    place = str(path.relative_to(ROOT))
    package = place.split("/")[0]
    for name in imports(path):
        top = name.split(".")[0]
        assert top != "tests", f"{place} imports {name}"
        assert top not in MAY or top in MAY[package], f"{place} imports {name}"
        assert top not in ONLY or package in UNRULED or place.startswith(ONLY[top]), f"{place} imports {name}"
        for part, closed in BELOW.items():
            assert not (place.startswith(part) and within(name, closed)), f"{place} imports {name}"


def test_no_package_imports_upwards() -> None:
    """The packages can be put into an order in which each imports only those before it, and every package is in the table."""
    below = {package: imported - {package} for package, imported in MAY.items()}
    assert list(TopologicalSorter(below).static_order())
    packages = {path.parent.name for path in ROOT.glob("[!.]*/__init__.py")}
    assert packages - {"tests"} <= set(MAY)


@pytest.mark.parametrize("package", TESTS)
def test_tests_share_only_what_is_in_support(package: str) -> None:
    """A package of tests imports nothing of another; `tests.support` imports no test."""
    for path in (ROOT / "tests" / package).rglob("*.py"):
        for name in imports(path):
            allowed = within(name, (f"tests.{package}", "tests.support"))
            assert not name.startswith("tests.") or allowed, f"{path} imports {name}"


def test_every_folder_of_tests_says_what_it_holds() -> None:
    """Every folder of tests is a package with a sentence on what it holds; no test stands outside one."""
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert ROOT / "tests" not in folders
    for folder in folders:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder


def test_packages_that_use_onnxruntime_have_switched_its_telemetry_off() -> None:
    """Each has a package above it that calls `vaccel_common.telemetry`, which runs before what imports onnxruntime."""
    users = [
        path
        for path in (*SOURCES, *(ROOT / "tests").rglob("*.py"))
        if within("onnxruntime", {name.split(".")[0] for name in imports(path)})
    ]
    assert users
    for path in users:
        above = [folder / "__init__.py" for folder in path.parents if folder.is_relative_to(ROOT) and folder != ROOT]
        assert any("send_nothing()" in package.read_text() for package in above), path


@pytest.mark.parametrize("path", sorted((ROOT / "loadkit").glob("*.py")), ids=lambda path: path.name)
def test_loadkit_needs_the_standard_library_alone(path: Path) -> None:
    """It is used in environments that have nothing else: Locust's, other model servers', a checkout's."""
    for name in imports(path):
        assert name.split(".")[0] in {*sys.stdlib_module_names, "loadkit"}, f"{path.name} imports {name}"
