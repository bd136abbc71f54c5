"""ONNX files by onnxruntime, on a CPU."""
