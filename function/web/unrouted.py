"""Requests that no route answers: the problem says which path or method was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map

from function.core.problems import Problem
from function.web.http import Request

#: Characters of a path that a message shows, and beyond which it is like no other.
_SHOWN = 80
#: How like a path another must be, from 0 to 1, and how many of them a message names.
_ALIKE, _NAMED = 0.65, 3
#: Methods that are there where others are, and that nobody is told to use.
_IMPLIED = ("HEAD", "OPTIONS")


def known_paths(routes: Map, model: str) -> list[str]:
    """The paths of the routes that one may have meant by another: with the model's name in place of a variable; no file of the page."""
    paths = {rule.rule.replace("<name>", model) for rule in routes.iter_rules() if not rule.rule.startswith("/page/")}
    return sorted(path for path in paths if "<" not in path and path != "/")


def unrouted(error: HTTPException, request: Request, paths: Sequence[str]) -> Problem:
    """The problem for an error of the library's routing. ``paths``: the known ones."""
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Location")}
    # The library's own path lacks slashes at its beginning.
    path = request.environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
    if isinstance(error, NotFound):
        detail = f"there is no path {path[:_SHOWN]!r}; {_meant(path, paths)}"
    elif isinstance(error, MethodNotAllowed):
        methods = sorted(set(error.valid_methods or ()).difference(_IMPLIED))
        # The response to HEAD is that to GET, but for its body.
        method = "GET" if request.method == "HEAD" else request.method[:_SHOWN]
        detail = f"the path takes {_either(methods)}, not {method}"
    else:
        detail = error.description or ""
    return Problem(HTTPStatus(error.code or 500), detail, headers)


def _meant(path: str, paths: Sequence[str]) -> str:
    near = [known for known in paths if known.startswith(path.rstrip("/") + "/")] if path.strip("/") else []
    if not near and len(path) <= _SHOWN:
        # Imported late, for it has no part in a cold start.
        from difflib import get_close_matches

        near = get_close_matches(path.lower(), paths, _NAMED, _ALIKE)
    return f"did you mean {_either(near[:_NAMED])}?" if near else "GET /openapi.json lists the paths"


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
