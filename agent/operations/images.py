"""Image classification: the label that a session's model gives an image."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from google.protobuf.message import Message

from agent import profiling
from agent.calls import Handler, IncomingCall
from agent.engines.contract import Program
from agent.imaging.labels import Labels, label_of
from agent.imaging.reader import ImageReader
from agent.operations.running import ModelRunner, log_failure
from agent.sessions import Resource, RpcSession
from agent.store.model import StoredModel
from agent.store.models import Store
from vaccel_common import tracing
from vaccel_common.imagespec import IMAGE_INPUT, MAX_SIDE, ImageSpec, image_spec
from vaccel_rpc.errors import FailedPrecondition, InvalidArgument

_log = logging.getLogger("agent.ops.image")

#: Bytes of ``tags``. Upstream's clients copy as many as their own buffer has out of them, commonly
#: 512, and abort where there are fewer.
TAGS_SIZE = 1024


class ImageOperations:
    """Classifies images by the models of sessions.

    ``labels``: for models whose files have none. ``profiled``: sessions keep the times of their
    runs.
    """

    def __init__(self, store: Store, runner: ModelRunner, reader: ImageReader, labels: Labels, *, profiled: bool) -> None:
        self._store, self._runner, self._reader, self._labels, self._profiled = store, runner, reader, labels, profiled
        # Further images wait as the bytes that were received.
        self._room = asyncio.Semaphore(reader.limits.in_flight)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By operation."""
        return {"classify_image": self.classify}

    async def classify(self, call: IncomingCall) -> Message:
        """ImageClassification: the label as UTF-8, filled up with zeros to `TAGS_SIZE` bytes."""
        label = await self.label(call, call.request.image)
        if len(label) >= TAGS_SIZE:
            raise FailedPrecondition(
                f"the label has {len(label)} bytes; vAccel's image classification has room for {TAGS_SIZE - 1}"
            )
        return call.reply("classify_image", tags=label.ljust(TAGS_SIZE, b"\0"))

    async def label(self, call: IncomingCall, image: bytes) -> bytes:
        """The label of an image, in UTF-8, by the model that was registered last with the session.

        Raises `InvalidArgument` where there is none or the image is wrong, `FailedPrecondition`
        where the model has no labels.
        """
        session = call.session()
        self._reader.check(image)
        resource = _last_resource(session)
        began = time.monotonic()
        model = await resource.of_run(call.metadata)
        with session.in_use(), log_failure(_log, session, model):
            form = await self._store.form(model)
            spec = _spec_of(model, form.program)
            _log.info("session:%d Image classification", session.id)
            async with self._room:
                tensor = await self._reader.read(image, spec, call.deadline)
                run = await self._runner.run(form.program, [tensor], call.deadline, model.label)
            label = label_of(run.outputs, form.labels, self._labels)
        if self._profiled:
            profiling.profile(session, began, run, "image_classification")
        # A generic operation has no span of its own.
        if call.span is not tracing.NOTHING:
            profiling.trace(call.span, run)
        return label.encode(errors="replace")


def _last_resource(session: RpcSession) -> Resource:
    if not session.resources:
        raise InvalidArgument(f"session {session.id} has no model: register one with it before classifying images")
    return next(reversed(session.resources.values()))


def _spec_of(model: StoredModel, program: Program) -> ImageSpec:
    spec = image_spec(program.signature)
    if spec is None and program.signature is not None:
        inputs = ", ".join(f"{spec.name} {spec.dtype} {list(spec.dims)}" for spec in program.signature.inputs)
        raise InvalidArgument(
            f"the model {model.name} does not classify images: it takes {inputs}; {IMAGE_INPUT} is needed,"
            f" height and width at most {MAX_SIDE}"
        )
    return spec or ImageSpec()
