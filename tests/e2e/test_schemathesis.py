"""The live function against its own OpenAPI document: schemathesis with all its checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.functions import start, wait_until_ready
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess

pytestmark = pytest.mark.e2e


@pytest.mark.timeout(300)
def test_every_answer_is_documented(agent: ServerProcess, tmp_path: Path) -> None:
    """No 500, no undocumented status or content; what fits the document is accepted, what does not is refused."""
    server = start(tmp_path, agent.addresses["unix"])
    wait_until_ready(server)
    try:
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "st"), "--config-file", "tests/e2e/schemathesis.toml",
                "run", server.addresses["http"] + "/openapi.json", "--checks", "all", "--phases", "examples,coverage,fuzzing",
                "-n", "25", "--seed", "1", "--continue-on-failure", "--no-color",
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.e2e.hooks"},
        )  # fmt: skip
    finally:
        assert server.stop() == 0
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Tested: 17" in done.stdout
    assert "Traceback" not in server.text
