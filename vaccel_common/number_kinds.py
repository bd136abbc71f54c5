"""Kinds of option values that are numbers, with bounds and units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from vaccel_common.kinds import Kind


@dataclass(frozen=True)
class Integer(Kind[int]):
    """A whole number within inclusive bounds.

    ``unit``: what 1 means, such as the bytes of a MiB.
    """

    minimum: int
    maximum: int | None = None
    unit: int = 1
    placeholder: str = "N"

    @property
    def needed(self) -> str:
        """The type of number and its bounds."""
        bounds = f", {self.minimum} or more" if self.maximum is None else f" from {self.minimum} to {self.maximum}"
        return f"a whole number{'' if self.unit == 1 else f' of {self.placeholder}'}{bounds}"

    bounded = True

    @property
    def metavar(self) -> str:
        """The declared placeholder."""
        return self.placeholder

    def parse(self, text: str) -> int:
        """Accepts ASCII digits alone. Raises ``ValueError``."""
        if not (text.isascii() and text.isdigit()) or len(text) > 20:
            raise self.error()
        return self.check(int(text))

    def check(self, value: Any) -> int:
        """JSON has one kind of number, so ``2.0`` is 2. Raises ``ValueError``."""
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= self.minimum or value % 1:
            raise self.error()
        if self.maximum is not None and value > self.maximum:
            raise self.error()
        return int(value) * self.unit

    def show(self, value: int) -> str:
        """The number in the declared unit."""
        return str(value // self.unit)

    def schema(self) -> dict[str, Any]:
        """An integer with its bounds."""
        return {"type": "integer", "minimum": self.minimum} | ({} if self.maximum is None else {"maximum": self.maximum})


@dataclass(frozen=True)
class Number(Kind[float]):
    """A finite number: at least ``minimum`` or greater than ``above``, and at most ``maximum``.

    ``unit``: what 1 means.
    """

    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    unit: float = 1.0
    placeholder: str = "NUMBER"

    @property
    def needed(self) -> str:
        """The type of number and its bounds."""
        bounds = [
            *([] if self.minimum is None else [f"at least {self.minimum:g}"]),
            *([] if self.above is None else [f"greater than {self.above:g}"]),
            *([] if self.maximum is None else [f"at most {self.maximum:g}"]),
        ]
        name = "a number" if self.placeholder == "NUMBER" else f"a number of {self.placeholder.lower()}"
        return f"{name}, {' and '.join(bounds)}" if bounds else "a finite number"

    @property
    def bounded(self) -> bool:
        """Whether there is a bound."""
        return (self.minimum, self.above, self.maximum) != (None, None, None)

    @property
    def metavar(self) -> str:
        """The declared placeholder."""
        return self.placeholder

    def parse(self, text: str) -> float:
        """Accepts what Python parses as a finite float. Raises ``ValueError``."""
        try:
            value = float(text)
        except ValueError:
            raise self.error() from None
        return self.check(value)

    def check(self, value: Any) -> float:
        """Accepts integers of any size, too. Raises ``ValueError``."""
        if not isinstance(value, int | float) or isinstance(value, bool) or not self._within(value):
            raise self.error()
        return value if self.unit == 1 else value * self.unit

    def _within(self, value: float) -> bool:
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
        )

    def show(self, value: float) -> str:
        """The number in the declared unit."""
        return f"{value / self.unit:g}"

    def schema(self) -> dict[str, Any]:
        """A number with its bounds."""
        bounds = {"minimum": self.minimum, "exclusiveMinimum": self.above, "maximum": self.maximum}
        return {"type": "number"} | {name: bound for name, bound in bounds.items() if bound is not None}


def seconds(minimum: float | None = None, maximum: float | None = None) -> Number:
    """A time: more than 0, unless ``minimum`` is given."""
    return Number(minimum, None if minimum is not None else 0, maximum, placeholder="SECONDS")
