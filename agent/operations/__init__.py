"""What the methods of the RPC do, by area: each module answers calls (`agent.calls`) over sessions, models and the batcher.

No sockets, no torch. `agent.service` has the table of all operations; one that is in no module is UNIMPLEMENTED.
"""
