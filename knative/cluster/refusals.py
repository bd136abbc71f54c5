"""What the API server refuses -> one line that names the missing right, object or address. No network."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from knative.cluster.errors import Forbidden, KnativeError, Rejected, Unauthorized, Unreachable

_RIGHT = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)")?'
)
_ADVICE = "docs/knative-cli.md has the role that gives it"


@dataclass(frozen=True)
class ApiCall:
    """What was asked: a verb of RBAC, a resource such as ``daemonsets.apps``, in a namespace or, empty, in none; on what."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def right(self) -> str:
        """The right that it needs, in words."""
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"the right to {self.verb} {self.resource} {where}"

    @property
    def what(self) -> str:
        """What it is about, in words."""
        return f"{self.resource}/{self.name}" if self.name else self.resource


def refusal(call: ApiCall, status: int, body: str, server: str, who: str) -> KnativeError:
    """The error for an answer of ``status``; ``body`` is a Kubernetes Status, or whatever stands between has sent."""
    said = message(body)
    if status == 401:
        return Unauthorized(f"{server} does not accept who is asking ({who}): log in again, or give another --context")
    if status == 403:
        return _forbidden(call, said)
    if status == 404 and (missing := re.search(r'namespaces "([^"]+)" not found', said)):
        return Rejected(f"there is no namespace {missing[1]}: kubectl create namespace {missing[1]}")
    if status in (400, 409, 422):
        return Rejected(f"{call.what} was refused: {said}")
    if status >= 500 or status == 429:
        return Unreachable(f"{server} could not {call.verb} {call.what} ({status}): {said or 'no reason given'}; try again")
    return Rejected(f"{server} answered {status} to {call.verb} {call.what}: {said or 'no reason given'}")


def _forbidden(call: ApiCall, said: str) -> Forbidden | Rejected:
    found = _RIGHT.search(said)
    if found:
        resource = f"{found['resource']}.{found['group']}" if found["group"] else found["resource"]
        call = ApiCall(found["verb"], resource, found["namespace"] or "", call.name)
        return Forbidden(f'needs {call.right} (as "{found["user"]}"); {_ADVICE}')
    if "is forbidden:" in said and "cannot" not in said:  # admission: Pod Security, a quota, a policy
        return Rejected(f"{call.what} was refused: {said}")
    return Forbidden(f"needs {call.right}; {_ADVICE}")


def message(body: str) -> str:
    """The sentence in a Kubernetes Status; else the body's beginning."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        return body[:200]
    return str(status.get("message", "")) if isinstance(status, dict) else ""
