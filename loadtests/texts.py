"""The texts and pairs that users send: those of a file, or mild texts composed here, as long as
short messages are.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

from function.cli.lines import good_text, read_input
from function.core.texts import Pair, Text

#: The number of texts that are composed.
COUNT = 500
#: Words of a text: a gamma distribution of this mean and shape within these bounds, which is 39
#: tokens on average.
_MEAN, _SHAPE, _MIN, _MAX = 33.0, 2.8, 3, 95

_SENTENCES = (
    "What a lovely day for a walk in the park.",
    "Tea and cake at four, see you there!",
    "The match was on very late yesterday, so I slept until ten.",
    "We took the early train and had the whole carriage to ourselves.",
    "Has anybody seen my blue umbrella? I think I left it at the library.",
    "My neighbour grows tomatoes on her balcony and gives half of them away.",
    "It rained all morning, and then the sun came out just in time.",
    "The new bakery on the corner has the best bread in town.",
    "@nora thank you for the book, I finished it in one evening.",
    "Our choir sings in the old church on Sunday, and everybody is welcome.",
    "I never remember which way the clock goes in October.",
    "Grandmother taught us a card game that nobody else seems to know.",
    "Good morning from the lake, the water is as calm as a mirror. #holiday",
    "The cat has decided that my keyboard is the warmest place in the house.",
    "Soup tonight, since there are so many carrots left.",
    "Somebody is learning the trumpet next door, and is getting better every week.",
    "The museum is free on the first Tuesday of the month.",
    "We planted an apple tree for each of the children.",
    "Half of the class was late because the bridge was up again.",
    "@jonas are you coming to the quiz on Thursday? We still need a fourth.",
    "I have been looking for this song for years and just heard it in a shop.",
    "The tram was full, so we walked home along the river.",
    "Two eggs, a cup of flour, a little milk, and patience.",
    "There is a heron in the pond behind the school.",
    "Finally fixed the bicycle: it was only the chain.",
    "Does anyone have a good recipe for plum cake?",
    "The stars are very clear tonight, away from the lights of the city.",
    "My brother runs his first marathon this weekend, and I am more nervous than he is.",
    "The post office closes at noon on Saturdays, as I learned at five past twelve.",
    "A letter from an old friend, four pages, by hand.",
    "They have painted the benches green.",
    "Snow on the hills, and the first skis on the roofs of the cars. #winter",
    "I moved the desk to the window and get nothing done, the view is too good.",
    "The plumber came on time, which made my week.",
    "All the lights were green on the way to work today.",
    "@team the slides are in the folder, please have a look before lunch.",
    "We lost by one point and had a wonderful evening anyway.",
    "The jam is still warm, do not close the lid yet.",
    "Our train waits at a small station for no reason that anybody knows.",
    "Three weeks until the holidays, and the list is already two pages long.",
    "The dentist said that everything is fine.",
    "A hedgehog lives under the shed; we have called it Otto.",
    "She plays the piano as if nobody were listening.",
    "The market has strawberries again!",
    "I read the whole manual and found that the switch is on the back.",
    "Lunch in the garden, with bees, bread and a very interested dog.",
    "Could you send me the address once more? I have deleted the message.",
    "The old cinema shows a silent film with a live pianist on Friday night.",
    "Every drawer in this house has one key that fits nothing.",
    "Congratulations to all who finished their exams today! #welldone",
    "A quiet evening: soup, a film, and early to bed.",
    "The lift is out of order until Monday, so everyone is getting fit.",
    "We counted eleven swans on the way to the ferry.",
    "His handwriting is so small that he fits a novel on a postcard.",
    "See you tomorrow.",
    "The kettle sings a minor third when it boils.",
    "It took a while, but the puzzle is complete, except for one piece that the dog has eaten.",
    "Coffee first.",
    "They serve breakfast until eleven, with a view of the harbour.",
    "Nothing is on the calendar today, and it is wonderful.",
)


@functools.cache
def texts(file: str | None = None, column: str | None = None, pair_column: str | None = None) -> tuple[Text, ...]:
    """The texts of a file that are not empty, and its pairs, read as ``vaccel-classifier`` reads
    them: one on each line, in columns of a ``.csv`` or ``.tsv``, or lines of a ``.jsonl``; or the
    composed ones.

    Raises `vaccel_common.textfile.TextFileError` with the line of what cannot be read, and
    ``ValueError`` for a file without a text and for a pair with an empty one.
    """
    if file is None:
        if pair_column is not None:
            raise ValueError(f"--pair-column {pair_column} needs a file of pairs: --texts FILE")
        if column is not None:
            raise ValueError(f"--column {column} needs a file with columns: --texts FILE")
        return _composed()
    path, read = Path(file), []
    for line in read_input(path, None, column, pair_column):
        read.append(text := good_text(line, path))
        if isinstance(text, Pair) and not all(part.strip() for part in text):
            raise ValueError(f"{file}, line {line.number}: a pair of which one text is empty")
    found = tuple(text for text in read if isinstance(text, Pair) or text.strip())
    if not found:
        raise ValueError(f"{file}: the file has no text")
    return found


def chosen(options: Any) -> tuple[Text, ...]:
    """The texts of a run with these options."""
    return texts(options.texts, options.column, options.pair_column)


def fields(text: Text) -> dict[str, str]:
    """A text or pair as the function's JSON has it."""
    return text._asdict() if isinstance(text, Pair) else {"text": text}


def _composed() -> tuple[str, ...]:
    """The same texts in every run and on every worker."""
    chance = random.Random(39)  # noqa: S311 not a secret
    return tuple(_text(chance) for _ in range(COUNT))


def _text(chance: random.Random) -> str:
    count = min(_MAX, max(_MIN, round(chance.gammavariate(_SHAPE, _MEAN / _SHAPE))))
    words: list[str] = []
    while len(words) < count:
        words += chance.choice(_SENTENCES).split()
    return " ".join(words[:count])
