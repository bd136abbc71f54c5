"""Where the function listens: what is wrong where it cannot, and how an address is written."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from function.server.listening import CannotListen, listen, shown
from tests.support.paths import ROOT, TWEETS

WRONG_HOST = "set HOST to an address of this machine"


@pytest.mark.parametrize("host", ["203.0.113.7", "nohost.invalid", "a" * 70 + ".example", "300.1.1.1"])
def test_a_host_that_is_not_this_machines_is_named(host: str) -> None:
    """Another port would not help."""
    with pytest.raises((OSError, UnicodeError)) as raised:
        listen(host, 0)
    assert isinstance(raised.value, OSError | UnicodeError)
    told = str(CannotListen(host, 0, "PORT", raised.value))
    assert re.fullmatch(rf"cannot listen on {re.escape(host)}:0: [\w ]+; {WRONG_HOST}", told)


@pytest.mark.parametrize("code", [errno.EADDRINUSE, errno.EACCES])
@pytest.mark.parametrize("variable", ["PORT", "METRICS_PORT"])
def test_a_port_that_is_taken_is_named(code: int, variable: str) -> None:
    """By the variable that it comes from."""
    told = str(CannotListen("::1", 80, variable, OSError(code, os.strerror(code))))
    assert told == f"cannot listen on [::1]:80: {os.strerror(code)}; set {variable} to another one"


@pytest.mark.parametrize("variable", ["PORT", "METRICS_PORT"])
def test_both_ports_end_it_with_the_same_code(variable: str, tmp_path: Path) -> None:
    """1, as the settings are right, with one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        env = {"HOST": "127.0.0.1", "MODEL": str(TWEETS), "VACCEL_RPC_ADDRESS": f"unix://{tmp_path}/none.sock", "PORT": "0"}
        env |= {"PATH": os.defpath, variable: number}
        ended = subprocess.run([sys.executable, "-m", "function"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    told = f"function: cannot listen on 127.0.0.1:{number}: Address already in use; set {variable} to another one\n"
    assert (ended.returncode, ended.stderr.endswith(told)) == (1, True), ended.stderr


def test_an_ipv6_address_is_in_brackets() -> None:
    """As a URL needs it."""
    assert (shown("::1", 80), shown("127.0.0.1", 80), shown("localhost", 80)) == ("[::1]:80", "127.0.0.1:80", "localhost:80")
