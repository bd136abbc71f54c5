"""Waiting for an HTTP server."""

from __future__ import annotations

import time

import requests


def answers(url: str, status: int = 200, seconds: float = 30) -> requests.Response:
    """The answer with that status, as soon as there is one."""
    end = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < end:
        try:
            answer = requests.get(url, timeout=5)
        except requests.ConnectionError as error:
            last = error
        else:
            if answer.status_code == status:
                return answer
            last = f"{answer.status_code} {answer.text}"
        time.sleep(0.05)
    raise AssertionError(f"no {status} from {url} within {seconds:g} s: {last}")
