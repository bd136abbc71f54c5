"""Chaos: one function and several agents as processes, clients with known answers, and faults by a
schedule that a seed repeats.

``python -m benchmarks.chaos`` fails where an answer is wrong, lost, late or doubled, or where a
request failed by a code that the present fault does not explain.
"""
