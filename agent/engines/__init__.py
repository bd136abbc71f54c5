"""Engines load model files and run them.

`contract` is the seam, `registry` finds the engines, and `torch` is the one that ships. Nothing
outside ``agent.engines.torch`` imports torch.
"""
