"""The vAccel RPC agent: runs models for its clients.

A call goes down through ``transports`` -> `service` -> ``operations`` -> ``batching`` and ``store``
-> ``engines``; each imports only what stands to its right, `sessions`, and ``vaccel_rpc``. Only
``engines.torch`` imports torch, only ``engines.onnx`` onnxruntime, only ``transports.grpc`` grpcio,
and nothing here imports ``function``.
"""
