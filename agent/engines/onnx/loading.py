"""Loads ONNX files, with the files of external data beside them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agent.engines.layout import Layout
from agent.engines.measured import tolerance
from agent.engines.onnx import sessions, signatures
from agent.engines.onnx.graph import checked_location, survey
from agent.engines.onnx.program import OnnxProgram
from agent.engines.onnx.reduced import Reduced, reduced, with_masks
from vaccel_common.modelfile import Extras, ModelFileError, Signature, read_extras
from vaccel_common.onnxfile import OnnxFileError
from vaccel_rpc.errors import InvalidArgument, ResourceExhausted, RpcError
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.engines.onnx")

#: Of a file or a graph and a number of threads, a session.
_Opened = Callable[[Path | bytes, int], Any]

#: Operators that compute one token after the other.
_RECURRENT = {"GRU", "LSTM", "RNN", "DynamicQuantizeLSTM", "AttnLSTM"}
#: Where a link leads that the agent made to a file that it has opened.
_OPENED = "/proc/self/fd/"


def load(
    path: Path,
    threads: int,
    memory: int | None = None,
    *,
    name: str | None = None,
    others: Mapping[str, Path] | None = None,
    warm: bool = True,
) -> OnnxProgram:
    """Loads a model file, for ``threads`` cores, and warms it up if ``warm``.

    ``memory``: a client sent it, and its runs may use so many bytes, together with those of all
    other such models in the process. ``name``: of the model, where it is not that of the file.
    ``others``: the files of external data by the names by which the model refers to them, where
    they are not beside it.

    Raises `InvalidArgument` with the reason where it is not a model, `ResourceExhausted` where
    memory ran out.
    """
    try:
        program = _loaded(path, threads, memory, name or path.stem, others)
    except (ModelFileError, OnnxFileError, OSError) as error:
        raise InvalidArgument(_without_places(str(error), path)) from None
    except RpcError:
        raise
    except Exception as error:  # noqa: BLE001 onnxruntime's errors have no class in common
        reason = _without_places(sessions.reason(error), path)
        if sessions.is_memory(error):
            raise ResourceExhausted(f"not enough memory to load the model: {reason}") from None
        raise InvalidArgument(f"onnxruntime cannot load the model: {reason}") from None
    if warm:
        program.warm_up()
    return program


def _loaded(path: Path, threads: int, memory: int | None, name: str, others: Mapping[str, Path] | None) -> OnnxProgram:
    extras = read_extras(path)
    found = survey(path)
    locations = {location: checked_location(location) for location in set(found.external)}
    external = {location: (others[own] if others else _beside(path, own)).read_bytes() for location, own in locations.items()}
    single, exact_int8 = _single(path, external, memory)
    signature = _signature(extras, name, single)
    opened = partial(sessions.new, external=external, memory=memory, exact_int8=exact_int8)
    # With inputs without elements, the kernels of loops over tokens end the process.
    empty = not any(operator in _RECURRENT for _, operator in found.operators)
    shrinks = memory is not None
    program = partial(OnnxProgram, signature=signature, tolerance=tolerance(extras.variant), shrinks=shrinks, empty=empty)
    # A client's model runs as it was sent and tried.
    forms = reduced(path, Layout(signature)) if memory is None else []
    masked = with_masks(Layout(signature)) if forms else []
    expected = _answers(program(single, None), masked) if forms else []
    alone, pads = None, True
    if expected:
        # The whole model goes first: there need not be room for it and for another form.
        del single
        opened = partial(opened, external={**external, path.name: path.read_bytes()})
        smaller = _smaller(forms, partial(OnnxProgram.differs, answers=expected, more=masked), opened, program, signature.name)
        single, alone, pads = smaller or (opened(path, 1), None, True)
    return program(single, opened(alone or path, threads) if threads > 1 else None, pads=pads)


def _without_places(text: str, path: Path) -> str:
    """The text without the folder of the model, which may be the agent's own."""
    return text.replace(str(path), "the file").replace(f"{path.parent}/", "")


def _signature(extras: Extras, name: str, session: Any) -> Signature:
    """The signature in a file, if the model has it; of a file without one what can be derived. Raises `InvalidArgument`."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if extras.signature is None:
        return signatures.derived(name, inputs, outputs)
    signatures.check(extras.signature, inputs, outputs)
    return extras.signature


def _answers(program: OnnxProgram, more: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Its answers to examples and to ``more`` requests; none where it fails."""
    try:
        return program.answers(more)
    except RpcError:
        return []


def _smaller(
    forms: Sequence[Reduced],
    differs: Callable[[OnnxProgram], float],
    opened: _Opened,
    program: Callable[[Any, None], OnnxProgram],
    name: str,
) -> tuple[Any, bytes | None, bool] | None:
    """A session of the first form whose answers do not differ from the model's, its graph for a request that is alone, and whether it
    computes padding.
    """
    for form in forms:
        try:
            session = opened(form.batched, 1)
            smaller = program(session, None)
            difference = differs(smaller)
            reason = "" if difference <= smaller.same else f"its answers differ by {difference:.2g}"
        except Exception as error:  # noqa: BLE001 onnxruntime's errors have no class in common
            reason = sessions.reason(error)
        if not reason:
            _log.info("%s computes %s", name, form)
            return session, form.alone, not form.tokens
        _log.warning("A form of %s that computes less is left out: %s", name, reason)
    return None


def _single(path: Path, external: Mapping[str, bytes], memory: int | None) -> tuple[Any, bool]:
    """A session of one thread, and whether it has `sessions.EXACT_INT8`."""
    try:
        return sessions.new(path, 1, external, memory), True
    except Exception as error:
        if not sessions.is_shared_int8(error):
            raise
    if sessions.int8_overflows():
        _log.warning("%s: layers share int8 weights, so that sums can overflow on this CPU, which has no VNNI", path.name)
    return sessions.new(path, 1, external, memory, exact_int8=False), False


def _beside(path: Path, name: str) -> Path:
    """The file of external data with that name, which no link leads out of the model's folder.

    Raises `InvalidArgument`.
    """
    data = path.parent / name
    folder = os.path.realpath(path.parent)
    is_opened = path.is_symlink() and data.is_symlink() and str(data.readlink()).startswith(_OPENED)
    if not is_opened and not Path(os.path.realpath(data)).is_relative_to(folder):
        raise InvalidArgument(f"external data {name}: a link leads out of the model's folder")
    if not data.is_file():
        raise InvalidArgument(f"external data {name}: there is no such file beside the model")
    return data
