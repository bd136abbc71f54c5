"""What is imported at a start: each module has its price, paid before the first answer. Nothing is timed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

#: The only packages that are not Python's own: HTTP, tokens, messages, and what these need.
THIRD_PARTY = {
    *("uvicorn", "httptools", "tokenizers", "google"),
    *("blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe", "werkzeug"),
}
#: Of these the parts that would be a mistake.
PARTS = {"google.rpc", "werkzeug.debug", "werkzeug.middleware", "tokenizers.tools", "uvicorn.protocols.http.h11_impl", "h11"}
#: Loaded with the first request that needs them, or never.
OURS = {
    *(
        "function.telemetry.metrics",
        "function.web.openapi.document",
        "function.usage",
        "function.web.page.files",
        "function.runtimes.func_python",
        "function.func",
        "function.cli.classifier",
    ),
    *("function.cli.lines", "function.cli.vocab", "function.runtimes.parliament"),
    *("vaccel_rpc.channels.grpc", "vaccel_rpc.dialects.v07", "agent", "models"),
}
#: Of Python's own what costs much and nobody needs here; asyncio, multiprocessing and logging.config come with uvicorn.
HEAVY = {
    *("concurrent.futures.process", "cProfile", "ctypes", "curses", "dbm", "distutils", "doctest"),
    *("email.mime", "ftplib", "http.cookiejar", "imaplib"),
    *("optparse", "pdb", "argparse", "pydoc", "readline", "shelve", "smtplib", "sqlite3", "statistics", "tarfile"),
    *("tkinter", "unittest", "urllib.request", "wsgiref", "xml", "xmlrpc", "zoneinfo"),
}  # fmt: skip
#: Modules of Python's own by their first names; some more than there are, for a patch version may add one.
MOST_OF_PYTHON = 110

#: The real start, ended when it would begin to serve and the agent is connected.
_START = """
import os, sys, time
from function import __main__
from function.server import serving

assemble, made = __main__.assemble, []

def kept(*given):
    made.append(assemble(*given))
    return made[0]

def listening(self, sockets):
    while made[0].not_ready():
        time.sleep(0.01)
    print(*sys.modules, flush=True)
    os._exit(0)

serving.HttpServer.run, __main__.assemble = listening, kept
sys.argv = ["function"]
__main__.main()
"""


@pytest.fixture(scope="module")
def loaded(agent: ServerProcess) -> set[str]:
    """Every module that a function has imported when it is ready."""
    env = {**os.environ, "VACCEL_RPC_ADDRESS": agent.addresses["unix"], "PORT": "0", "HOST": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", _START], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def within(loaded: set[str], names: set[str]) -> set[str]:
    """Which of the modules are these, or lie in them."""
    return {module for module in loaded if any(module == name or module.startswith(name + ".") for name in names)}


def test_only_these_packages_are_imported(loaded: set[str]) -> None:
    """A new one is a decision: it is listed here, or imported where it is needed."""
    # What an environment itself imports (setuptools, coverage, editable installs) is no part of the function.
    own = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in loaded - set(own.stdout.split())}
    # Cython's modules enter some names of their own.
    cython = {name for name in tops if name.startswith(("_cython_", "cython_"))}
    ours = {"__main__", "__mp_main__", "function", "vaccel_common", "vaccel_rpc"}
    assert tops - sys.stdlib_module_names - cython - ours == THIRD_PARTY


def test_no_part_is_imported_that_only_some_need(loaded: set[str]) -> None:
    """Metrics, the OpenAPI document, the page, gRPC, the older dialect: each waits for its first use."""
    assert not within(loaded, PARTS | OURS)
    assert {"function.web.app", "vaccel_rpc.channels.ttrpc", "vaccel_rpc.dialects.v08"} <= loaded


def test_of_python_itself_nothing_heavy_is_imported(loaded: set[str]) -> None:
    """None of what costs much, and no more names than there were."""
    assert not within(loaded, HEAVY)
    tops = {name for name in loaded if name in sys.stdlib_module_names and not name.startswith("_")}
    assert len(tops) <= MOST_OF_PYTHON, sorted(tops)
