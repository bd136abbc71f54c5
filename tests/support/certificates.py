"""Certificates for tests of TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from vaccel_rpc.channels import Tls


def certificate(folder: Path, name: str, kind: str = "ec") -> Tls:
    """A self-signed certificate for localhost, its own authority. ``kind``: of its key, as ``openssl req -newkey`` takes it."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    curve = ["-pkeyopt", "ec_paramgen_curve:prime256v1"] if kind == "ec" else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", kind, *curve, "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return Tls(str(cert), str(cert), str(key))
