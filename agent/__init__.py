"""The vAccel RPC agent: runs models for whoever calls.

``transports`` -> `service` -> ``batching`` -> ``engines``, and `service` -> ``store``; each imports only what stands to its
right, and ``vaccel_rpc``. Only ``engines.torch`` imports torch, only ``transports.grpc`` grpcio; nothing here imports ``function``.
"""
