"""Engines load model files and run them.

`contract` is the seam, `registry` finds the engines, and `torch` and `onnx` ship. Nothing outside
``agent.engines.torch`` imports torch, and nothing outside ``agent.engines.onnx`` onnxruntime.
"""
