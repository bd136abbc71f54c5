"""What the RPC's methods do, by area: each module answers calls (`agent.calls`).

No sockets, no torch. `agent.service` has the table of all operations; one that is in no module is
UNIMPLEMENTED.
"""
