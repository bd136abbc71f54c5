"""A simulator of the batcher: arrivals, lengths and a cost model of the machine, to compare packing
rules within seconds.

The rules are real functions: the shipped one is `agent.packing.pack` itself, so that the
comparison is of what runs.
"""
