"""Engines load model files and run them: `registry` finds them, `torch` is the one that ships. The core never names torch."""
