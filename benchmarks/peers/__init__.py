"""Model servers that others would pick, each in an environment of its own: ``.venv-mosec``, ``.venv-litserve``.

What runs there imports nothing of ours but `benchmarks.peers.model`.
"""
