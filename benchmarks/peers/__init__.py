"""Other model servers to compare with, each in an environment of its own: ``.venv-mosec``,
``.venv-litserve``.

The workers run there, and import nothing of this project but `benchmarks.peers.model`, `loadkit` and
`vaccel_common`, which need nothing but the standard library.
"""

from vaccel_common.telemetry import send_nothing

send_nothing()
