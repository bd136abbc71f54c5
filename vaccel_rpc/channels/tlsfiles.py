"""Whether files for TLS can be used. What grpcio says of a wrong one names no file."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vaccel_rpc.channels import Tls

Part = Literal["ca", "cert", "key"]

#: OpenSSL's reasons for which a key is not that of a certificate.
_ANOTHERS = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")


@dataclass(frozen=True)
class TlsProblem:
    """What is wrong with one of the files of `Tls`."""

    part: Part
    file: str | Path
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def problem(tls: Tls) -> TlsProblem | None:
    """The first file that cannot be read or is not what it should be; None where all can be used."""
    parts: tuple[tuple[Part, str | Path | None], ...] = (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key))
    for part, file in parts:
        if file and (reason := _unreadable(file) or (_no_certificate(file) if part != "key" else "")):
            return TlsProblem(part, file, reason)
    if tls.cert and not tls.key:
        return TlsProblem("cert", tls.cert, "the certificate's key is needed too")
    if tls.key and not tls.cert:
        return TlsProblem("key", tls.key, "the key's certificate is needed too")
    if tls.cert and tls.key and (reason := _wrong_key(tls.cert, tls.key)):
        return TlsProblem("key", tls.key, reason)
    return None


def _unreadable(file: str | Path) -> str:
    try:
        Path(file).read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _no_certificate(file: str | Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError:
        return "not a PEM certificate"
    return "" if context.cert_store_stats()["x509"] else "not a PEM certificate"


def _wrong_key(cert: str | Path, key: str | Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # grpcio takes keys of any size. A passphrase would be asked for on the terminal.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        context.load_cert_chain(cert, key, password=lambda: b"")
    except ssl.SSLError as error:
        another = error.reason in _ANOTHERS
        return f"not the key of the certificate {cert}" if another else "not a PEM private key without a passphrase"
    return ""
