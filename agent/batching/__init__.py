"""Which requests run together, and when: a bounded queue, what a batch may hold, what it costs. No sockets, no torch."""
