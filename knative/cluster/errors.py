"""The errors of the commands, each one line that says what to do. Imports nothing."""

from __future__ import annotations


class KnativeError(Exception):
    """A command cannot continue; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class NotConfigured(KnativeError):
    """No kubeconfig and no pod, or a kubeconfig that cannot be used."""


class Unreachable(KnativeError):
    """The cluster does not answer at its address."""


class Unauthorized(KnativeError):
    """The cluster does not accept the credentials."""


class Forbidden(KnativeError):
    """The credentials lack a right."""


class Rejected(KnativeError):
    """The cluster rejects what was sent: an invalid field, an admission rule."""


class NotInstalled(KnativeError):
    """The cluster lacks a kind of object: a CRD is missing."""


class TooOld(KnativeError):
    """Knative Serving is older than the manifests need."""


class Unfinished(KnativeError):
    """The cluster did not reach the wanted state in time, or checks failed."""


def one_line(text: str) -> str:
    """``text`` without line breaks and without control characters, which could move a terminal's
    cursor.
    """
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 pod``, ``2 pods``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
