"""A client's model as an `agent.engines.contract.Program` that runs in processes of its own."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.engines.contract import Batch
from agent.engines.cost import Cost
from agent.engines.layout import Layout
from agent.engines.onnx import boxwire
from agent.engines.onnx.boxpool import BoxPool
from agent.engines.onnx.boxprocess import BoxFiles, BoxProcess
from agent.engines.onnx.boxwire import BoxedModel, BoxMessageError
from agent.engines.onnx.graph import external_files
from vaccel_common.modelfile import Signature
from vaccel_common.onnxfile import OnnxFileError
from vaccel_rpc.errors import Internal, InvalidArgument
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.engines.onnx")

#: Seconds of a run, at most, with the start of a process where none is idle.
RUN_S = 30.0
#: Seconds of a load, at most, with its trial runs.
LOAD_S = 120.0


class BoxedProgram:
    """A model in memory, in processes that `BoxPool` keeps: runs at the same time have one each.

    ``name``: the client's for the model. ``memory``: bytes that each may use beside those of the
    files. They end with the program. Loads the model once. Raises `InvalidArgument` where it cannot
    be loaded, `ResourceExhausted` where memory ran out, `Internal` where the process ended or took
    too long, `Unavailable`.
    """

    def __init__(self, path: Path, name: str, threads: int, memory: int, pool: BoxPool) -> None:
        try:
            self._files = BoxFiles(path, name, external_files(path))
        except (OnnxFileError, OSError) as error:
            raise InvalidArgument(str(error).replace(str(path), "the file")) from None
        self._threads, self._memory, self._pool = threads, memory, pool
        self._model = pool.number()
        # With the agent they end by themselves.
        weakref.finalize(self, _end, pool, self._model, self._files).atexit = False
        box, loaded = self._started(time.monotonic() + LOAD_S, f"to load the model took more than {LOAD_S:g} s", warm=True)
        self._pool.loaded(self._model, box)
        self._signature, self._joinable, self._cost = loaded.signature, loaded.joinable, loaded.cost
        if self._joinable:
            _log.info("A batch of %s takes %s", name, self._cost)
        elif Layout(self._signature).joinable:
            _log.warning("Padding changes the answers of %s, or it failed: its requests run alone", name)

    @property
    def signature(self) -> Signature:
        """See `agent.engines.contract.Program.signature`."""
        return self._signature

    @property
    def joinable(self) -> bool:
        """See `agent.engines.contract.Program.joinable`."""
        return self._joinable

    @property
    def cost(self) -> Cost:
        """Measured in the process."""
        return self._cost

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs.

        Raises `ResourceExhausted` where memory ran out, `InvalidArgument`, and `Internal` with
        onnxruntime's reason, or where the process ended or did not answer in time.
        """
        until = time.monotonic() + RUN_S
        took_too_long = f"the run took more than {RUN_S:g} s, the limit for a model that a client sent"
        box = self._pool.take(self._model) or self._started(until, took_too_long, warm=False)[0]
        with _ended_by_failure(box, took_too_long):
            batch = self._asked(box, requests, until, alone=alone)
        self._pool.put(self._model, box)
        if isinstance(batch, Batch):
            return batch
        raise batch

    def _asked(self, box: BoxProcess, requests: Sequence[Sequence[Tensor]], until: float, *, alone: bool) -> Batch | Exception:
        """The batch, or why the model failed in a process that can go on."""
        began = time.monotonic()
        head, kinds, data = box.ask(boxwire.message({"alone": alone}, requests), until, self._memory)
        if error := boxwire.error_of(head):
            return error
        boxwire.check_outputs(kinds, self._signature, len(requests))
        ended = time.monotonic()
        # The process says how long the model took: the rest is what it costs to ask another process.
        return Batch(boxwire.tensors_of(kinds, memoryview(data)), ended - boxwire.seconds_of(head, ended - began), ended)

    def _started(self, until: float, took_too_long: str, *, warm: bool) -> tuple[BoxProcess, BoxedModel]:
        """A process that has loaded the model. Raises what `run` raises, `Unavailable`."""
        box = BoxProcess(self._files, self._threads, self._memory, warm=warm)
        with _ended_by_failure(box, took_too_long):
            head, *_ = box.ask((), until, 0)
            if error := boxwire.error_of(head):
                raise error
            return box, boxwire.model_of(head)


@contextlib.contextmanager
def _ended_by_failure(box: BoxProcess, took_too_long: str) -> Iterator[None]:
    """Ends the process where this context fails: what it says next would answer nothing. Raises `Internal` for what it did wrong."""
    try:
        yield
    except BaseException as error:
        box.end()
        if isinstance(error, TimeoutError):
            raise Internal(took_too_long) from None
        if isinstance(error, BoxMessageError):
            raise Internal(f"the answer of the model's process is malformed: {error}") from None
        raise


def _end(pool: BoxPool, model: int, files: BoxFiles) -> None:
    """Ends what a program had, in a thread: the garbage collector may be called where the pool's lock is held."""

    def work() -> None:
        pool.forget(model)
        files.close()

    threading.Thread(target=work, name="end of a client's model", daemon=True).start()
