"""The vAccel RPC agent: runs models for its clients.

A call goes down through ``transports`` -> `service` -> ``operations`` -> ``batching`` and ``store``
-> ``engines``; each imports only what stands to its right, `sessions`, and ``vaccel_rpc``. Only
``engines.torch`` imports torch, only ``engines.onnx`` onnxruntime, only ``transports.grpc`` grpcio,
and nothing here imports ``function``.
"""

from vaccel_common.missing import explain_tools
from vaccel_common.telemetry import send_nothing

explain_tools(__name__, "install-agent, or the wheel with its extra 'agent'", names={"agent": "vaccel-rpc-agent"})
send_nothing()
