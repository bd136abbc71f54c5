"""Messages of libraries, without what tells their own developers more than ours."""

from __future__ import annotations

import re

#: What torch's reader of archives says beside the reason: where in its sources it arose, that it is "internal", and guesses.
_TORCH = re.compile(
    r"\[enforce fail at [^\]]*\]\s*\.?\s*|\bPytorchStreamReader (?=failed )|\. This is an internal miniz error.*", re.DOTALL
)
#: The address of an object in Python's description of it.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")


def plain(text: str) -> str:
    """The text without places in torch's sources, its guesses at causes, and addresses of objects."""
    return _ADDRESS.sub("", _TORCH.sub("", text))
