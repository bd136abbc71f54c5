"""A simulator of the batcher: arrivals x lengths x a cost model of the machine, compared by packing rule in seconds.

The rules are real functions: the shipped one is `agent.batching.packing.pack` itself, so that what is compared is what runs.
"""
