"""Slow clients beside normal ones: ``python -m benchmarks.slow``.

``scripts`` says what such clients send, ``clients`` is the process that has them, ``beside`` measures normal clients beside them,
and ``descriptors`` a function whose descriptors run out.
"""
