"""HTTP servers under one stub application: ``python -m benchmarks.servers``.

``stub`` is the application, ``starts`` starts each server, ``__main__`` measures them in turn.
"""
