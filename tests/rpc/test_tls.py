"""TLS on the gRPC addresses, and clients that must show a certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificates import certificate
from tests.support.optional import needs_program
from tests.support.servers import SpawnAgent
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
