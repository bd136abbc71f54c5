"""Dialect 0.7: one package and one service; one method loads and runs a model.

It is the dialect of the logs in the deployment guide.
"""

from __future__ import annotations

from typing import Any

from vaccel_rpc.dialects import TENSORFLOW, TENSORFLOW_LITE, Dialect, Method, Profile
from vaccel_rpc.proto.dialect07 import agent07_pb2 as pb

_RAW = 0


def _profile_reply(profile: Profile) -> Any:
    reply = pb.ProfilingResponse()
    for region, samples in profile.items():
        timer = reply.timers.add(name=region)
        timer.samples.extend(pb.ProfRegion.Sample(start=start, time=time) for start, time in samples)
    return reply


def _profile_of(reply: Any) -> Profile:
    return {timer.name: [(sample.start, sample.time) for sample in timer.samples] for timer in reply.timers}


DIALECT = Dialect(
    version="0.7",
    services={"vaccel.AgentService": True},
    methods={
        "create_session": Method("CreateSession", pb.CreateSessionRequest, pb.CreateSessionResponse),
        "update_session": Method("UpdateSession", pb.UpdateSessionRequest, pb.Empty),
        "destroy_session": Method("DestroySession", pb.DestroySessionRequest, pb.Empty),
        "register": Method("RegisterResource", pb.RegisterResourceRequest, pb.RegisterResourceResponse),
        "unregister": Method("UnregisterResource", pb.UnregisterResourceRequest, pb.Empty),
        "classify_image": Method("ImageClassification", pb.ImageClassificationRequest, pb.ImageClassificationResponse),
        "run": Method("TorchJitloadForward", pb.TorchJitloadForwardRequest, pb.TorchJitloadForwardResponse),
        "genop": Method("Genop", pb.GenopRequest, pb.GenopResponse),
        "genop_stream": Method("GenopStream", pb.GenopRequest, pb.GenopResponse, streams=True),
        "profile": Method("GetTimers", pb.ProfilingRequest, pb.ProfilingResponse),
        **{name: Method(name, pb.Empty, pb.Empty) for name in (*TENSORFLOW, *TENSORFLOW_LITE)},
    },
    tensor=pb.TorchTensor,
    blob=pb.File,
    arg=pb.Arg,
    blobs="files",
    blob_path=(2, 4),
    blob_kind={},
    outputs="nr_outputs",
    arg_type="argtype",
    new_resource=-1,
    opcode_size=4,
    noop=0,
    classify_image=2,
    exec=frozenset({7, 20}),
    opcode_type=_RAW,
    profile_reply=_profile_reply,
    profile_of=_profile_of,
)
