"""Peers of the agent written from the protocol's description alone: nothing of `vaccel_rpc` or `agent` is imported here."""
