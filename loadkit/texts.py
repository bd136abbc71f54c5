"""The texts that load tests, benchmarks and checks send when nobody gives others: mild, short, in
English.
"""

from __future__ import annotations

#: The labels of the model that ships, in its order.
LABELS = ("hate-speech", "offensive-language", "neither")
#: One text of twelve tokens, for a first request or a request whose text does not matter.
TEXT = "What a lovely day for a walk in the park"
#: A few texts, for a request with several.
TEXTS = (TEXT, "The train was late again this morning", "See you at lunch")
