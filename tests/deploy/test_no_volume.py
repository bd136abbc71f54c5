"""The function's pod has no volume, and the function needs none: it serves from a root on which nothing can be written."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
import yaml

from tests.support.functions import wait_until_ready
from tests.support.objects import Object, read
from tests.support.optional import needs_program, require
from tests.support.paths import ROOT
from tests.support.servers import ServerProcess


def revision(file: str) -> Object:
    """The pod of the Knative Service in a file of knative/manifests."""
    (service,) = read((ROOT / "knative/manifests" / file).read_text())
    spec: Object = service["spec"]["template"]["spec"]
    return spec


def test_a_cold_start_waits_for_no_mount() -> None:
    """Neither a volume nor a service account's token, which is a volume too.

    The kubelet looks for mounts every 300 ms before it starts a container. On Kubernetes 1.36 with
    Knative 1.23 that was 0.28 s of each cold start: 0.788 s with a /tmp, 0.509 s without.
    """
    spec = revision("service.yaml")
    assert "volumes" not in spec
    assert "volumeMounts" not in spec["containers"][0]
    assert spec["automountServiceAccountToken"] is False
    assert "volumes" not in yaml.safe_load((ROOT / "func.yaml").read_text())["run"]


def test_a_sidecar_brings_only_the_agents_volumes() -> None:
    """The function's container has the socket and nothing else; the agent needs a /tmp for uploads."""
    function, agent = revision("service-sidecar.yaml")["containers"]
    assert [mount["mountPath"] for mount in function["volumeMounts"]] == ["/var/run/vaccel"]
    assert [mount["mountPath"] for mount in agent["volumeMounts"]] == ["/var/run/vaccel", "/tmp"]


#: Makes the root and the folders for temporary files read-only for the command that follows.
_READ_ONLY = """
for folder in / /tmp /var/tmp; do
  [ $folder = / ] || mount --bind $folder $folder
  mount -o remount,bind,ro $folder
done
exec "$@"
"""
READ_ONLY = ["unshare", "--map-root-user", "--mount", "sh", "-ec", _READ_ONLY, "sh"]


@pytest.fixture(scope="module")
def confined(agent: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A function whose process can write no file, in no folder for temporary files either."""
    python = [*READ_ONLY, sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "VACCEL_RPC_ADDRESS": agent.addresses["tcp"], "PORT": "0"}
    environment |= {"HOST": "127.0.0.1", "TMPDIR": "/tmp"}
    probe = "import tempfile; tempfile.TemporaryFile()"
    writes = subprocess.run([*python, "-c", probe], cwd="/", env=environment, capture_output=True, text=True, check=False)
    require("No usable temporary directory" in writes.stderr, f"no mount namespace without rights: {writes.stderr[-200:]}")
    log = tmp_path_factory.mktemp("confined") / "log"
    with log.open("wb") as out:
        process = subprocess.Popen([*python, "-m", "function"], cwd="/", env=environment, stdout=out, stderr=out)
    server = ServerProcess(process, log)
    try:
        server.addresses["http"] = server.wait_for(r"Listening on (http://[^\s\"]+)")[1]
        wait_until_ready(server)
        yield server
    finally:
        code = server.stop()
    assert code == 0, server.text
    assert "Traceback" not in server.text


@needs_program("unshare", "util-linux")
def test_the_function_writes_no_file(confined: ServerProcess) -> None:
    """Every kind of body, large ones too, the page, the description and the metrics."""
    url = confined.addresses["http"]
    texts = ["a" * 9000] * 60
    form = "&".join(f"texts={text}" for text in texts)
    bodies: list[tuple[str | bytes, dict[str, str], int]] = [
        (json.dumps({"texts": texts}), {"Content-Type": "application/json"}, 200),
        (
            gzip.compress(json.dumps({"texts": texts}).encode()),
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            200,
        ),
        (form, {"Content-Type": "application/x-www-form-urlencoded"}, 200),
        ("text=" + "x" * (8 << 20), {"Content-Type": "application/x-www-form-urlencoded"}, 413),
        ('{"text": "tea"}\n' * 500, {"Content-Type": "application/x-ndjson"}, 200),
    ]
    for body, headers, status in bodies:
        answer = requests.post(f"{url}/classify", data=body, headers=headers, timeout=60)
        assert answer.status_code == status, (headers, answer.text[:300])
    for path in ("/", "/openapi.json", "/health/readiness"):
        assert requests.get(url + path, timeout=10).status_code == 200, path
    files = {"text": ("big.txt", "tea " * 400_000)}
    assert requests.post(f"{url}/classify", files=files, timeout=20).status_code in (413, 415)


def test_a_file_that_is_written_is_seen() -> None:
    """The confinement means something: Python finds no folder for a temporary file."""
    require(shutil.which("unshare"), "unshare is missing (Debian: util-linux)")
    done = subprocess.run([*READ_ONLY, "touch", "/tmp/x"], capture_output=True, text=True, check=False)
    require("mount" not in done.stderr and "unshare" not in done.stderr, done.stderr)
    assert "Read-only file system" in done.stderr
