"""Dialect 0.8: a package for each area, and two services with the same methods."""

from __future__ import annotations

from typing import Any

from vaccel_rpc.dialects import TENSORFLOW, TENSORFLOW_LITE, Dialect, Method, Profile
from vaccel_rpc.proto.dialect08 import empty_pb2, genop_pb2, image_pb2, profiling_pb2, resource_pb2, session_pb2, torch_pb2

_EMPTY = empty_pb2.Empty


def _profile_reply(profile: Profile) -> Any:
    reply = profiling_pb2.Response()
    reply.profiler.component_name = "vaccel-rpc-agent"
    for region, samples in profile.items():
        reply.profiler.regions[region].samples.extend(profiling_pb2.Sample(start=start, time=time) for start, time in samples)
    return reply


def _profile_of(reply: Any) -> Profile:
    return {name: [(sample.start, sample.time) for sample in region.samples] for name, region in reply.profiler.regions.items()}


DIALECT = Dialect(
    version="0.8",
    services={"vaccel.sync.agent.AgentService": False, "vaccel.asynchronous.agent.AgentService": True},
    methods={
        "create_session": Method("CreateSession", session_pb2.CreateRequest, session_pb2.CreateResponse),
        "update_session": Method("UpdateSession", session_pb2.UpdateRequest, _EMPTY),
        "destroy_session": Method("DestroySession", session_pb2.DestroyRequest, _EMPTY),
        "register": Method("RegisterResource", resource_pb2.RegisterRequest, resource_pb2.RegisterResponse),
        "unregister": Method("UnregisterResource", resource_pb2.UnregisterRequest, _EMPTY),
        "sync": Method("SyncResource", resource_pb2.SyncRequest, resource_pb2.SyncResponse),
        "classify_image": Method("ImageClassification", image_pb2.Request, image_pb2.Response),
        "load": Method("TorchModelLoad", torch_pb2.ModelLoadRequest, _EMPTY),
        "run": Method("TorchModelRun", torch_pb2.ModelRunRequest, torch_pb2.ModelRunResponse),
        "genop": Method("Genop", genop_pb2.Request, genop_pb2.Response),
        "genop_stream": Method("GenopStream", genop_pb2.Request, genop_pb2.Response, streams=True),
        "profile": Method("GetProfiler", profiling_pb2.Request, profiling_pb2.Response),
        **{name: Method(name, _EMPTY, _EMPTY) for name in (*TENSORFLOW, *TENSORFLOW_LITE)},
    },
    tensor=torch_pb2.Tensor,
    blob=resource_pb2.Blob,
    arg=genop_pb2.Arg,
    blobs="blobs",
    blob_path=(2, 3),
    # Without it an agent of upstream's opens the blob's path, which is not on the wire.
    blob_kind={"type_": resource_pb2.MAPPED},
    outputs="nr_out_tensors",
    arg_type="arg_type",
    new_resource=0,
    opcode_size=1,
    noop=0,
    classify_image=3,
    exec=frozenset({1, 2}),
    opcode_type=genop_pb2.UINT8,
    profile_reply=_profile_reply,
    profile_of=_profile_of,
)
