"""What a client has of a model beside the program: tokenizer, labels and signature, by their sha256.

Models that differ in none of them can take each other's place behind a client that tokenizes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

from vaccel_common.modelfile import Extras


@dataclass(frozen=True)
class ModelInterface:
    """The sha256 of each part; empty for one that the file does not have."""

    tokenizer: str = ""
    labels: str = ""
    signature: str = ""

    def differences(self, other: ModelInterface) -> list[str]:
        """The names of the parts that are not the same."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]

    def contradictions(self, other: ModelInterface) -> list[str]:
        """The names of the parts that both have, and that are not the same."""
        return [name for name in self.differences(other) if getattr(self, name) and getattr(other, name)]

    def __str__(self) -> str:
        """As it travels: ``tokenizer=HEX labels=HEX signature=HEX``, of the parts that there are."""
        return " ".join(f"{field.name}={value}" for field in fields(self) if (value := getattr(self, field.name)))


def interface_of(extras: Extras) -> ModelInterface:
    """The interface of a model or tokenizer file.

    The name in a signature does not count: two versions of a model may have two names.
    """
    signature = extras.signature and asdict(replace(extras.signature, name=""))
    return ModelInterface(
        tokenizer=hashlib.sha256(extras.tokenizer).hexdigest() if extras.tokenizer is not None else "",
        labels=_digest(extras.labels) if extras.labels is not None else "",
        signature=_digest(signature) if signature else "",
    )


def parse_interface(text: str) -> ModelInterface:
    """The interface in ``text``, as it travels; parts of other names are skipped."""
    known = {field.name for field in fields(ModelInterface)}
    pairs = (part.partition("=") for part in text.split())
    return ModelInterface(**{name: value for name, _, value in pairs if name in known})


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
