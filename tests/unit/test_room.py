"""Which models leave memory for another one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.store.model import Form, StoredModel
from agent.store.room import Room
from tests.support.toyplugin import Multiplies
from vaccel_rpc.errors import ResourceExhausted

MIB = 1 << 20
NOW = 1000.0


def _model(
    name: str, *, memory: int = MIB, idle: float = 0.0, references: int = 0, pinned: bool = False, upload: Path | None = None
) -> StoredModel:
    """A model in memory that takes ``memory`` bytes and was last used ``idle`` seconds before `NOW`."""

    async def loaded() -> Form:
        return Form(name, f"{name}.toy", name, Multiplies(name, 2), memory, upload=upload)

    async def complete() -> asyncio.Task[Form]:
        task = asyncio.ensure_future(loaded())
        await task
        return task

    model = StoredModel(name, name, None, uploaded=False, variant=None, references=references, pinned=pinned, used=NOW - idle)
    model.loading = asyncio.run(complete())
    return model


def _names(models: list[StoredModel]) -> list[str]:
    return [model.name for model in models]


def test_nothing_leaves_while_there_is_room() -> None:
    """The last byte and the last place may be taken."""
    room = Room(models=3, memory=3 * MIB)
    assert room.leaving([_model("a", idle=500), _model("b", idle=500)], MIB, NOW) == []


def test_models_that_nobody_has_registered_leave_first_and_of_those_the_longest_unused() -> None:
    """Only as many as the new one needs."""
    models = [_model("registered", idle=900, references=1), _model("recent", idle=1), _model("old", idle=300)]
    assert _names(Room(models=8, memory=3 * MIB).leaving(models, MIB, NOW)) == ["old"]
    assert _names(Room(models=8, memory=3 * MIB).leaving(models, 2 * MIB, NOW)) == ["old", "recent"]
    assert _names(Room(models=8, memory=3 * MIB).leaving(models, 3 * MIB, NOW)) == ["old", "recent", "registered"]
    assert _names(Room(models=3).leaving(models, 1 << 40, NOW)) == ["old"]


def test_a_registered_model_leaves_only_after_its_idle_time() -> None:
    """At 60 seconds; before that the refusal says in how many seconds it may."""
    room = Room(models=1, idle=60)
    assert _names(room.leaving([_model("a", idle=60, references=2)], MIB, NOW)) == ["a"]
    with pytest.raises(ResourceExhausted, match=r"1 models are loaded and in use, the limit \(--max-models\)") as refused:
        room.leaving([_model("a", idle=39.5, references=2)], MIB, NOW)
    assert refused.value.retry_after == 21
    assert refused.value.reason == "models"


def test_pinned_models_and_those_that_load_never_leave() -> None:
    """A model that loads counts with the size of its files."""
    loading = StoredModel("l", "l", None, uploaded=False, variant=None, size=2 * MIB)
    loading.loading = asyncio.Future(loop=asyncio.new_event_loop())  # type: ignore[assignment]
    models = [_model("pinned", idle=900, pinned=True), loading]
    with pytest.raises(ResourceExhausted, match=r"all of their memory but 1 MiB of 4 MiB \(--max-model-memory\)"):
        Room(models=8, memory=4 * MIB).leaving(models, 2 * MIB, NOW)
    assert Room(models=8, memory=5 * MIB).leaving(models, 2 * MIB, NOW) == []


def test_a_model_larger_than_the_whole_budget_makes_nobody_leave() -> None:
    """It is refused for good: no time is named after which it would fit."""
    with pytest.raises(ResourceExhausted, match=r"the model takes 9 MiB, more than all models may: 8 MiB") as refused:
        Room(models=8, memory=8 * MIB).leaving([_model("a", idle=900)], 9 * MIB, NOW)
    assert refused.value.retry_after is None


def test_models_leave_when_one_turns_out_to_take_more() -> None:
    """Never the one that was just loaded, which would be loaded again."""
    room = Room(models=8, memory=4 * MIB)
    models = [_model("a", idle=100), _model("b", idle=200, references=1), _model("new", memory=3 * MIB)]
    assert _names(room.surplus(models, NOW)) == ["a"]
    assert not room.exceeded(models[1:])
    huge = [_model("new", memory=5 * MIB)]
    assert room.surplus(huge, NOW) == []
    assert room.exceeded(huge)


def test_what_nobody_has_registered_leaves_for_an_upload() -> None:
    """As many as it needs, the one unused for longest first; none of the store, in use or pinned, nor where that is not enough."""
    room, upload = Room(models=8, uploads=10), Path("upload")
    idle = [_model("old", idle=90, upload=upload), _model("older", idle=99, upload=upload)]
    others = [
        _model("store", idle=99),
        _model("used", idle=99, references=1, upload=upload),
        _model("pinned", idle=99, pinned=True, upload=upload),
    ]
    for model in (*idle, *others):
        model.size = 2
    for size, leave in ((2, []), (3, ["older"]), (4, ["older"]), (5, ["older", "old"]), (6, ["older", "old"]), (7, [])):
        assert _names(room.leaving_disk([*others, *idle], 8, size)) == leave
    room.check_upload(8, 2)
    for held, size, retry_after in ((8, 3, 5), (0, 11, None)):
        with pytest.raises(ResourceExhausted, match="--max-uploads") as refused:
            room.check_upload(held, size)
        assert refused.value.retry_after == retry_after


_MODELS = st.lists(
    st.builds(
        _model, st.uuids().map(str), memory=st.integers(1, 5), idle=st.floats(0, 200),
        references=st.integers(0, 2), pinned=st.booleans(),
    ),
    max_size=8,
)  # fmt: skip


@given(_MODELS, st.integers(1, 6), st.integers(1, 6), st.integers(1, 20))
def test_the_new_model_always_fits_or_is_refused(models: list[StoredModel], size: int, count: int, memory: int) -> None:
    """And none leaves without need: with the last of them in memory it would not fit."""
    room = Room(models=count, memory=memory)
    try:
        leaving = room.leaving(models, size, NOW)
    except ResourceExhausted:
        return
    staying = [model for model in models if model not in leaving]
    assert len(staying) + 1 <= count
    assert sum(model.memory for model in staying) + size <= memory
    assert not any(model.pinned or (model.references and NOW - model.used < room.idle) for model in leaving)
    if leaving:
        more = [*staying, leaving[-1]]
        assert len(more) + 1 > count or sum(model.memory for model in more) + size > memory
