"""What can go wrong, each in one line that says what to do. Imports nothing."""

from __future__ import annotations


class KnativeError(Exception):
    """The command cannot go on; the message is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class NotConfigured(KnativeError):
    """No kubeconfig and no pod, or a kubeconfig that cannot be used."""


class Unreachable(KnativeError):
    """The cluster does not answer at its address."""


class Unauthorized(KnativeError):
    """The cluster does not know who is asking."""


class Forbidden(KnativeError):
    """A right is missing."""


class Rejected(KnativeError):
    """The cluster does not take what was sent: a wrong field, an admission rule."""


class NotInstalled(KnativeError):
    """The cluster lacks a kind of object: a CRD is missing."""


class TooOld(KnativeError):
    """Knative Serving is older than what was tried."""


class Unfinished(KnativeError):
    """It did not become what it should have in time."""


def one_line(text: str) -> str:
    """``text`` without line breaks, and without what would move a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def counted(number: int, noun: str) -> str:
    """``1 pod``, ``2 pods``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
