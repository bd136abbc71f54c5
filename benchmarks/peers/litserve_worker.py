"""LitServe: ``POST /predict`` with ``{"text": ...}``."""

from __future__ import annotations

import os
from typing import Any

import litserve  # type: ignore[import-not-found,unused-ignore] # in .venv-litserve

from benchmarks.peers.model import PeerClassifier, setting


class LitServeWorker(litserve.LitAPI):  # type: ignore[misc,unused-ignore]
    """The work of a LitServe worker process."""

    def setup(self, device: str) -> None:  # noqa: ARG002 the library's signature
        """Loads the model."""
        self._classifier = PeerClassifier()

    def decode_request(self, request):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 the library reads the annotation
        """The text of a request."""
        return request["text"]

    def predict(self, x: Any) -> Any:
        """Classifies a batch, or one text where the batch size is 1."""
        return self._classifier.classify(x) if isinstance(x, list) else self._classifier.classify([x])[0]

    def encode_response(self, output: Any) -> Any:
        """The prediction, which LitServe sends as JSON."""
        return output


if __name__ == "__main__":
    api = LitServeWorker(max_batch_size=setting("BATCH"), batch_timeout=setting("WAIT_MS") / 1000)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=setting("WORKERS"), timeout=30)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), generate_client_file=False, log_level="error")
