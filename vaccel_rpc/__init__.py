"""The vAccel RPC, for both sides: protocol, addresses, tensors, errors, client.

Imports neither torch nor Flask, and grpc only for a grpc address.
"""

__version__ = "0.2.0"
