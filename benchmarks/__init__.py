"""Figures that anyone can make: each is a ratio of two things measured in one run, since machines differ.

``python -m benchmarks`` runs `benchmarks.parts` and writes JSON, tables and plots; ``python -m benchmarks.simulate`` compares packing
rules; ``fuzz``, ``lines``, ``slow`` and ``servers`` are programs of their own. May import everything of this project.
"""
