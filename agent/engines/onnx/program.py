"""A model in memory: joins and pads requests, runs them and splits outputs."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnxruntime

from agent.engines import arrays
from agent.engines.contract import Batch, without_elements
from agent.engines.cost import Cost
from agent.engines.layout import Layout
from agent.engines.measured import MeasuredProgram
from agent.engines.onnx import sessions
from vaccel_common.modelfile import Signature
from vaccel_rpc.errors import Internal, ResourceExhausted, RpcError
from vaccel_rpc.tensors import Tensor

_log = logging.getLogger("agent.engines.onnx")


class OnnxProgram(MeasuredProgram):
    """A model in memory; see `MeasuredProgram`.

    A session has its own number of threads: ``single`` has one, for batches that run beside others,
    and ``parallel`` all cores, for those that run alone; None where there is one core.
    ``shrinks``: whether the sessions' memory is given back after each run. ``pads``: whether
    padding takes as long as tokens in ``single``. ``empty``: whether it may run without elements.
    """

    def __init__(
        self,
        single: Any,
        parallel: Any | None,
        signature: Signature,
        tolerance: float,
        *,
        shrinks: bool = False,
        pads: bool = True,
        empty: bool = True,
    ) -> None:
        super().__init__(signature, tolerance, _log)
        self._pads, self._empty = pads, empty
        self._options = _shrinking() if shrinks else None
        self._single, self._parallel = single, parallel
        self._inputs = [spec.name for spec in signature.inputs]
        self._outputs = [spec.name for spec in signature.outputs]

    def run(self, requests: Sequence[Sequence[Tensor]], *, alone: bool) -> Batch:
        """Each request's outputs.

        Raises `Internal` with onnxruntime's reason, `ResourceExhausted` where memory ran out, and
        `InvalidArgument` for an input without elements where the model may not have any.
        """
        if not self._empty:
            for request in requests:
                if error := without_elements(request):
                    raise error
        try:
            return self._run(requests, (alone and self._parallel) or self._single)
        except RpcError:
            raise
        except Exception as error:  # noqa: BLE001 onnxruntime's errors have no class in common
            no_memory, reason = sessions.is_memory(error), sessions.reason(error)
        if no_memory:
            raise ResourceExhausted(f"the run needs more memory than there is: {reason}", errno=errno.ENOMEM, reason="memory")
        raise Internal(f"onnxruntime: {reason}", errno=errno.EINVAL)

    def _run(self, requests: Sequence[Sequence[Tensor]], session: Any) -> Batch:
        layout = self.layout
        if layout is None or len(requests) == 1:
            inputs = [[arrays.to_array(tensor) for tensor in request] for request in requests]
            began = time.monotonic()
            outputs = [self._call(session, request) for request in inputs]
            ended = time.monotonic()
            return Batch([[arrays.from_array(array) for array in results] for results in outputs], began, ended)
        joined = arrays.join(layout, requests)
        began = time.monotonic()
        results = self._call(session, joined)
        ended = time.monotonic()
        shapes = [layout.shape(request) for request in requests]
        self._check_rows(results, sum(shape.rows for shape in shapes))
        return Batch(arrays.split(layout, results, shapes), began, ended)

    def _call(self, session: Any, inputs: Sequence[arrays.Array]) -> list[arrays.Array]:
        # Kernels expect aligned numbers, and a message's bytes may lie anywhere.
        feeds = {name: array if array.flags.aligned else array.copy() for name, array in zip(self._inputs, inputs, strict=True)}
        results: list[arrays.Array] = session.run(self._outputs, feeds, self._options)
        return results

    def _fitted_cost(self, layout: Layout) -> Cost:
        return replace(super()._fitted_cost(layout), pads=self._pads)

    def _check_rows(self, results: Sequence[arrays.Array], rows: int) -> None:
        """Raises `Internal` for an output whose batch dimension has another size than the inputs'."""
        batch = self.signature.batch if self.signature else None
        for spec, array in zip(self.signature.outputs if self.signature else (), results, strict=True):
            at = spec.dims.index(batch) if batch in spec.dims else None
            if at is not None and (array.ndim <= at or array.shape[at] != rows):
                raise Internal(f"output {spec.name!r} is {list(array.shape)} for {rows} rows", errno=errno.EINVAL)


def _shrinking() -> Any:
    """Options of runs after which the memory that sessions share is given back: else it would stay divided as they left it."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
