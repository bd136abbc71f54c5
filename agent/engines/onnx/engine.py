"""onnxruntime as an `agent.engines.contract.Engine`."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from agent.engines.contract import UPLOAD_MEMORY, Program
from agent.engines.onnx.boxed import BoxedProgram
from agent.engines.onnx.boxpool import BoxPool
from agent.engines.onnx.graph import external_files
from agent.engines.onnx.uploads import check_upload
from vaccel_common import process
from vaccel_common.onnxfile import OnnxFileError
from vaccel_rpc.errors import FailedPrecondition, InvalidArgument

_log = logging.getLogger("agent.engines.onnx")

_LIBRARY = "onnxruntime"
_MISSING = "an ONNX file needs onnxruntime, which is not installed here: pip install 'onnxruntime>=1.32', or make install-onnx in a checkout"


class OnnxEngine:
    """onnxruntime on a CPU, with ``threads`` cores. ``device`` is for the other engines.

    Without the library there is an engine too, which loads no file and says what installs it.
    """

    #: As many as the other engines have: torch opens one for each core, and one for a GPU.
    workers = 1
    #: On every CPU: see `agent.engines.onnx.sessions.EXACT_INT8`.
    precisions: frozenset[str] = frozenset({"int8"})

    def __init__(self, device: str, threads: int) -> None:
        self._device, self._threads = device, threads
        self._boxes: BoxPool | None = None

    def load(self, path: Path) -> Program:
        """See `agent.engines.onnx.loading.load`. Raises `FailedPrecondition` without the library."""
        self._check(path)
        from agent.engines.onnx.loading import load

        return load(path, self._threads)

    def load_upload(self, path: Path, memory: int, name: str) -> Program:
        """See `agent.engines.onnx.boxed.BoxedProgram`; ``memory``: also what all idle processes may keep."""
        self._check(path)
        if self._boxes is None:
            self._boxes = BoxPool(memory)
        return BoxedProgram(path, name, self._threads, memory, self._boxes)

    def memory_used(self) -> int:
        """Bytes that this process has in memory, and for each client's model those that one of its processes took."""
        return process.resident_memory() + (self._boxes.resident if self._boxes else 0)

    def _check(self, path: Path) -> None:
        _check_library()
        if self._device.startswith("cuda"):
            _log.warning("%s runs on the CPU: this engine has no other device", path.name)

    def external_files(self, path: Path) -> Sequence[str]:
        """See `agent.engines.contract.RefersToFiles.external_files`."""
        try:
            return external_files(path)
        except (OnnxFileError, OSError) as error:
            raise InvalidArgument(f"the ONNX file is refused: {error}".replace(str(path), "the file")) from None

    def check_upload(self, path: Path) -> None:
        """See `try_upload`."""
        self.try_upload(path, (), UPLOAD_MEMORY)

    def try_upload(self, path: Path, others: Sequence[str], memory: int, given_up: threading.Event | None = None) -> None:
        """See `agent.engines.onnx.uploads.check_upload`. Raises `FailedPrecondition` without the library."""
        _check_library()
        check_upload(path, others, memory, given_up)

    def __str__(self) -> str:
        return "cpu"


def _check_library() -> None:
    if importlib.util.find_spec(_LIBRARY) is None:
        raise FailedPrecondition(_MISSING)
