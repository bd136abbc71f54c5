"""The RPC as others speak it, and its client's connections."""
