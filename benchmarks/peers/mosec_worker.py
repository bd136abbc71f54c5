"""mosec: ``POST /inference`` with ``{"text": ...}``."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from mosec import Server, Worker  # type: ignore[import-not-found,unused-ignore] # in .venv-mosec

from benchmarks.peers.model import PeerClassifier, setting


class MosecWorker(Worker):  # type: ignore[misc,unused-ignore]
    """The work of a mosec worker process."""

    def __init__(self) -> None:
        self._classifier = PeerClassifier()

    def forward(self, data: Any) -> Any:
        """Classifies a batch, or one request where the batch size is 1."""
        if isinstance(data, list):
            return self._classifier.classify([request["text"] for request in data])
        return self._classifier.classify([data["text"]])[0]


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.argv += ["--port", os.environ["PORT"], "--address", "127.0.0.1", "--log-level", "error"]
    server = Server()
    server.append_worker(
        MosecWorker, num=setting("WORKERS"), max_batch_size=setting("BATCH"), max_wait_time=setting("WAIT_MS"), timeout=30
    )
    server.run()
