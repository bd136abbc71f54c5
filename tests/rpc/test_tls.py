"""TLS on the gRPC addresses, and clients that must show a certificate."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from function.config import from_env
from tests.support.certificates import certificate
from tests.support.optional import needs_program
from tests.support.servers import SpawnAgent, spawn
from vaccel_common.options import ConfigError
from vaccel_rpc.addresses import parse
from vaccel_rpc.channels import Tls, connect
from vaccel_rpc.client import VaccelClient
from vaccel_rpc.errors import FailedPrecondition, Unavailable


@needs_program("openssl", "openssl")
def test_tls_and_client_certificates(spawn_agent: SpawnAgent, tmp_path: Path) -> None:
    """Who trusts the agent's certificate connects; with --tls-ca only who shows one, too."""
    server, mine = certificate(tmp_path, "server"), certificate(tmp_path, "client")
    keys = ("--tls-cert", str(server.cert), "--tls-key", str(server.key))
    for options, tls, welcome in (
        (keys, Tls(server.ca), True),
        (keys, Tls(mine.ca), False),
        ((*keys, "--tls-ca", str(mine.ca)), Tls(server.ca, mine.cert, mine.key), True),
        ((*keys, "--tls-ca", str(mine.ca)), Tls(server.ca), False),
    ):
        agent = spawn_agent("-a", "grpc://localhost:0", *options)
        address = parse(agent.addresses["grpc"].replace("grpc://", "grpcs://"))
        if welcome:
            client = VaccelClient(connect(address, 5, tls=tls))
            assert client.create_session(timeout=5) > 0
            client.close()
        else:
            with pytest.raises(Unavailable):
                VaccelClient(connect(address, 1.5, tls=tls)).create_session(timeout=5)
        agent.stop()
    with pytest.raises(FailedPrecondition, match=r"nowhere\.pem"):
        connect(parse("grpcs://localhost:1"), 1, tls=Tls("/nowhere.pem"))


Fault = Literal[
    "no file", "a folder", "other bytes", "an empty file", "a part of a certificate", "the key of another", "a passphrase"
]
NO_CERTIFICATE, NO_KEY = "not a PEM certificate", "not a PEM private key without a passphrase"
FAULTS: tuple[tuple[Literal["ca", "cert", "key"], Fault, str], ...] = (
    ("ca", "no file", "No such file or directory"),
    ("cert", "a folder", "Is a directory"),
    *((part, fault, NO_CERTIFICATE) for part in ("ca", "cert") for fault in ("other bytes", "an empty file", "a part of a certificate")),
    ("key", "no file", "No such file or directory"),
    ("key", "other bytes", NO_KEY),
    ("key", "a part of a certificate", NO_KEY),
    ("key", "a passphrase", NO_KEY),
    ("key", "the key of another", "not the key of the certificate CERT"),
)  # fmt: skip


def faulty(folder: Path, part: str, fault: Fault) -> tuple[Tls, Path]:
    """Files of which one has a fault, and that one."""
    good, file = certificate(folder, "server"), folder / "faulty.pem"
    pem = Path(str(good.cert)).read_bytes()
    if fault == "a folder":
        file.mkdir()
    elif fault == "the key of another":
        file = Path(str(certificate(folder, "other").key))
    elif fault == "a passphrase":
        command = ["openssl", "pkcs8", "-topk8", "-in", str(good.key), "-out", str(file), "-passout", "pass:secret"]
        subprocess.run(command, check=True, capture_output=True)
    elif fault != "no file":
        file.write_bytes({"other bytes": b"root:x:0:0", "an empty file": b""}.get(fault, pem[: len(pem) // 2]))
    return replace(good, **{part: str(file)}), file


@needs_program("openssl", "openssl")
@pytest.mark.parametrize(("part", "fault", "reason"), FAULTS)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, part: str, fault: Fault, reason: str) -> None:
    """At the start of a function by its variable, which ends that, and at each connection, whose next attempt may succeed."""
    tls, file = faulty(tmp_path, part, fault)
    reason = reason.replace("CERT", str(tls.cert))
    env = {f"VACCEL_RPC_TLS_{name.upper()}": str(value) for name, value in vars(tls).items()}
    with pytest.raises(ConfigError) as raised:
        from_env({"VACCEL_RPC_ADDRESS": "tcp://a:1,grpcs://a:2", **env})
    assert str(raised.value) == f"VACCEL_RPC_TLS_{part.upper()}={file}: {reason}"
    with pytest.raises(FailedPrecondition) as failed:
        connect(parse("grpcs://localhost:1"), 1, tls=tls)
    assert failed.value.message == f"TLS file {file}: {reason}"


@needs_program("openssl", "openssl")
def test_files_that_nobody_uses_are_not_looked_at(tmp_path: Path) -> None:
    """Without a grpcs:// address a function has no TLS; with one, a certificate needs its key."""
    good = certificate(tmp_path, "client")
    assert from_env({"VACCEL_RPC_ADDRESS": "grpc://a:1", "VACCEL_RPC_TLS_CA": "/nowhere.pem"})
    address = {"VACCEL_RPC_ADDRESS": "grpcs://a:1"}
    assert from_env({**address, "VACCEL_RPC_TLS_CA": str(good.cert)})
    with pytest.raises(ConfigError, match=r"VACCEL_RPC_TLS_CERT=.*: the certificate's key is needed too"):
        from_env({**address, "VACCEL_RPC_TLS_CERT": str(good.cert)})
    with pytest.raises(ConfigError, match=r"VACCEL_RPC_TLS_KEY=.*: the key's certificate is needed too"):
        from_env({**address, "VACCEL_RPC_TLS_KEY": str(good.key)})


@needs_program("openssl", "openssl")
@pytest.mark.parametrize("kind", ["rsa:1024", "rsa:2048", "ed25519"])
def test_any_key_is_welcome(tmp_path: Path, kind: str) -> None:
    """Those that Python itself would find too weak, too, and a file of both."""
    tls = certificate(tmp_path, "server", kind)
    assert tls.problem() is None
    both = tmp_path / "both.pem"
    both.write_bytes(Path(str(tls.key)).read_bytes() + Path(str(tls.cert)).read_bytes())
    assert Tls(both, both, both).problem() is None


@needs_program("openssl", "openssl")
@pytest.mark.parametrize(
    ("part", "fault", "reason"), [fault for fault in FAULTS if fault[1] in ("other bytes", "the key of another")]
)
def test_an_agent_with_a_file_that_cannot_be_used_ends(
    spawn_agent: SpawnAgent, tmp_path: Path, part: str, fault: Fault, reason: str
) -> None:
    """One line names the option and the file, and nothing of gRPC's precedes it; the exit code is that of a wrong option."""
    tls, file = faulty(tmp_path, part, fault)
    options = [text for name, value in vars(tls).items() for text in (f"--tls-{name}", str(value))]
    agent = spawn_agent("-a", "grpc://localhost:0", *options, ready=False)
    assert agent.process.wait(20) == 2
    assert f"--tls-{part} {file}: {reason.replace('CERT', str(tls.cert))}\n" in agent.text
    assert ".cc:" not in agent.text


def test_a_function_with_a_file_that_cannot_be_used_ends(tmp_path: Path) -> None:
    """Before it serves, and with one line."""
    (tmp_path / "x.pem").write_text("x")
    env = {"VACCEL_RPC_ADDRESS": "grpcs://127.0.0.1:1", "VACCEL_RPC_TLS_CA": str(tmp_path / "x.pem"), "PORT": "0"}
    function = spawn(tmp_path / "log", "function", env=env)
    assert function.process.wait(20) == 2
    assert function.text == f"function: VACCEL_RPC_TLS_CA={tmp_path}/x.pem: {NO_CERTIFICATE}\n"


def test_a_busy_port_is_told_once(spawn_agent: SpawnAgent) -> None:
    """The reason is gRPC's, behind the address."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        agent = spawn_agent("-a", f"grpc://127.0.0.1:{other.getsockname()[1]}", ready=False)
        assert agent.process.wait(20) == 1
    assert agent.text.count("cannot listen") == 1
