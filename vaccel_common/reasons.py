"""Messages of libraries, without what tells their own developers more than ours."""

from __future__ import annotations

import re

#: What torch's reader of archives says beside the reason: where in its sources it arose, that it is "internal", and guesses.
_TORCH = re.compile(r"\[enforce fail at [^\]]*\]\s*\.?\s*|\bPytorchStreamReader (?=failed )|\. This is an internal miniz error.*")
#: The address of an object in Python's description of it.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+(?=>)")


def lines(error: BaseException) -> list[str]:
    """The lines of an error's message that say something, without places in torch's sources, its guesses and addresses of objects."""
    plain = (_ADDRESS.sub("", _TORCH.sub("", line)).strip() for line in str(error).splitlines())
    return [line for line in plain if line]
