"""Messages of libraries, as users read them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vaccel_common.reasons import lines


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[enforce fail at inline_container.cc:424] . unexpected pos 64 vs 0", ["unexpected pos 64 vs 0"]),
        ("<lambda of <__main__.Net object at 0x7f12aB> fails", ["<lambda of <__main__.Net object> fails"]),
        ("at 0x10 there is a number", ["at 0x10 there is a number"]),
        ("  a reason\n \n[enforce fail at x.cc:1]\nof two lines\n", ["a reason", "of two lines"]),
        ("", []),
    ],
)
def test_what_is_for_developers_of_the_library_is_left_out(text: str, says: list[str]) -> None:
    """Places in its sources, and addresses of objects."""
    assert lines(ValueError(text)) == says


def test_a_damaged_archive_has_its_reason_alone(tmp_path: Path) -> None:
    """torch says beside it that it is an internal error, and guesses how it came about."""
    (tmp_path / "m.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(RuntimeError) as raised:
        torch.jit.load(str(tmp_path / "m.pt"))
    assert "internal miniz error" in str(raised.value), "torch's message is another one: is lines() still needed for it?"
    (line,) = lines(raised.value)
    assert line.startswith("failed reading zip archive: ")
    assert "miniz" not in line
