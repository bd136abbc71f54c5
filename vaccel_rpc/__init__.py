"""The vAccel RPC, for both sides: protocol, addresses, tensors, errors, client.

It imports neither torch nor Flask, and grpcio only for a gRPC address.
"""

__version__ = "0.2.0"
