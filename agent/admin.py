"""The operator's address: which models the agent has, and changes of them where that is allowed.

Paths and answers are those of Triton's model repository extension, so that its clients work.
Source: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar
from urllib.parse import unquote

from agent.store.repository import IndexEntry, Repository
from agent.webserver import Page, PageRequest, WebServer
from vaccel_rpc.errors import RpcError

T = TypeVar("T")

#: Seconds for the event loop to answer.
_ANSWER_S = 5.0
_INDEX = "/v2/repository/index"
_CHANGE = re.compile(r"/v2/repository/models/([^/]+)/(load|unload)")
#: What Triton's client sends with a request that changes nothing about a model.
_NONE: dict[str, bool] = {}
_NONES = (_NONE, {"unload_dependents": False}, {"unload_dependents": True})
_STATUS = {
    "NOT_FOUND": "404 Not Found",
    "PERMISSION_DENIED": "403 Forbidden",
    "INVALID_ARGUMENT": "400 Bad Request",
    "FAILED_PRECONDITION": "409 Conflict",
    "RESOURCE_EXHAUSTED": "503 Service Unavailable",
}


class AdminServer(WebServer):
    """Serves the index of the store's models on ``bind`` (host, port).

    ``loop``: the agent's, which owns the repository. ``writable``: models may be loaded and
    unloaded, too. ``max_load``: seconds that a model may take to load. Raises ``OSError`` where it
    cannot listen.
    """

    def __init__(
        self, bind: tuple[str, int], repository: Repository, loop: asyncio.AbstractEventLoop, *, writable: bool, max_load: float
    ) -> None:
        self._repository, self._loop, self._writable = repository, loop, writable
        # After the agent has noticed that a model does not load.
        self._load_s = max_load + _ANSWER_S
        super().__init__(bind, "admin")

    def page(self, request: PageRequest) -> Page:
        """The index, or what became of a change; every error is JSON with an ``error``."""
        try:
            return self._page(request)
        except RpcError as error:
            return _refusal(_STATUS.get(error.name, "500 Internal Server Error"), error.message)
        except FutureTimeout:
            return _refusal("503 Service Unavailable", "the agent does not answer")

    def _page(self, request: PageRequest) -> Page:
        if request.path == _INDEX:
            if request.method not in ("GET", "HEAD", "POST"):
                return _refusal("405 Method Not Allowed", f"{_INDEX} is for GET and POST")
            return self._index(request)
        if change := _CHANGE.fullmatch(request.path):
            return self._change(unquote(change[1]), change[2], request)
        return _refusal("404 Not Found", f"this server has {_INDEX} and /v2/repository/models/NAME/load and unload")

    def _index(self, request: PageRequest) -> Page:
        parameters = _object(request.body)
        ready = parameters.get("ready", False) if parameters is not None else None
        if not isinstance(ready, bool):
            return _refusal("400 Bad Request", 'the body is not a JSON object such as {"ready": true}')
        entries = self._in_loop(self._repository.index(), _ANSWER_S)
        return _json("200 OK", [_described(entry) for entry in entries if entry.state == "READY" or not ready])

    def _change(self, name: str, change: str, request: PageRequest) -> Page:
        if request.method != "POST":
            return _refusal("405 Method Not Allowed", f"{request.path} is for POST")
        if not self._writable:
            return _refusal("403 Forbidden", "this address is read only; start the agent with --admin-writable")
        # A page in the browser of somebody who can reach this address must not change anything.
        if request.origin:
            return _refusal("403 Forbidden", "requests of web pages (Origin) may not change models")
        parameters = _object(request.body)
        if parameters is None:
            return _refusal("400 Bad Request", "the body is not a JSON object")
        if parameters.get("parameters", _NONE) not in _NONES:
            return _refusal("400 Bad Request", "models are files of the store; a request cannot bring a config or files")
        work = self._repository.load(name) if change == "load" else self._repository.unload(name)
        self._in_loop(work, self._load_s)
        return _json("200 OK", {})

    def _in_loop(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, empty where there is no body; None where it is something else."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _described(entry: IndexEntry) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": entry.name,
        "version": "1",
        "state": entry.state,
        "reason": entry.reason,
        "file": entry.file,
    }
    if entry.shares:
        described["alias"] = [{"role": role, "sha256": digest, "percent": percent} for role, digest, percent in entry.shares]
    if entry.sha256:
        described |= {
            "sha256": entry.sha256,
            "precision": entry.precision,
            "memory_bytes": entry.memory,
            "registered": entry.references,
            "preloaded": entry.pinned,
            "idle_seconds": round(entry.idle, 1),
        }
    return described


def _json(status: str, value: Any) -> Page:
    return Page(status, "application/json", json.dumps(value).encode() + b"\n")


def _refusal(status: str, error: str) -> Page:
    return _json(status, {"error": error})
