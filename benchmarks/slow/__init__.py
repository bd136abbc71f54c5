"""Slow clients beside normal ones: ``python -m benchmarks.slow``.

``scripts`` has what slow clients send, ``clients`` is the process that runs them, ``beside``
measures normal clients beside them, and ``descriptors`` measures a function whose descriptors run
out.
"""
