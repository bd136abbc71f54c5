"""The vAccel RPC agent: runs models for whoever calls.

``transports`` -> `service` -> `batcher` -> ``plugins.torch``; each imports only what stands to its right, and ``vaccel_rpc``.
Only
``plugins.torch`` imports torch, only ``transports.grpc`` grpcio; nothing here imports ``function``.
"""
