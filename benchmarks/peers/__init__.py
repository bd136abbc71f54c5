"""Other model servers to compare with, each in an environment of its own: ``.venv-mosec``,
``.venv-litserve``.

The workers run there and import nothing of this project but `benchmarks.peers.model` and `loadkit`.
"""
