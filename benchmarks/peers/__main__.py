"""The other model servers before a run: ``python -m benchmarks.peers``."""

from __future__ import annotations

from typing import Any

import click

from benchmarks.programs import PeersConfig
from vaccel_common.commandline import ToolCommand, options


@click.command(cls=ToolCommand, context_settings={"show_default": True, "max_content_width": 120})
@options(PeersConfig)
def main(**values: Any) -> None:
    """Installs mosec and LitServe and makes their ONNX files in build/bench/peers.

    A run with --peers does the same for the servers that it measures. Prints how the answers of
    each form differ from torch's.
    """
    from benchmarks.peers.environments import PEERS
    from benchmarks.peers.files import prepare
    from benchmarks.plan import log
    from benchmarks.texts import file_or_generated, others

    config = PeersConfig(**values)
    for form, about in prepare(PEERS, others(config.texts, file_or_generated(config.texts, 600)), log).items():
        print(f"{form}: {about}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.peers")
