"""Which requests run together, and when: a bounded queue, the limits of a batch, and its cost.

No sockets.
"""
