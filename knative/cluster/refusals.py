"""Error responses of the API server, as one line that names the missing right, object or address.

No network.
"""

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
    """A call of the API: a verb of RBAC, a resource such as ``daemonsets.apps``, its namespace and
    name where it has them.
    """

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    @property
    def right(self) -> str:
        """The right that the call needs, in words."""
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"the right to {self.verb} {self.resource} {where}"

    @property
    def what(self) -> str:
        """The resource and its name, in words."""
        return f"{self.resource}/{self.name}" if self.name else self.resource


def refusal(call: ApiCall, status: int, body: str, server: str, who: str) -> KnativeError:
    """The error for a response with ``status``; ``body`` is a Kubernetes Status, or what a proxy in
    between has sent.
    """
    explanation = message(body).strip().rstrip(".")
    if status == 401:
        return Unauthorized(f"{server} does not accept the credentials ({who}): log in again, or give another --context")
    if status == 403:
        return _forbidden(call, explanation)
    if status == 404 and (missing := re.search(r'namespaces "([^"]+)" not found', explanation)):
        return Rejected(f"there is no namespace {missing[1]}: kubectl create namespace {missing[1]}")
    if status in (400, 409, 422):
        return Rejected(f"{call.what} was refused: {explanation}")
    if status >= 500 or status == 429:
        return Unreachable(
            f"{server} could not {call.verb} {call.what} ({status}): {explanation or 'no reason given'}; try again"
        )
    return Rejected(f"{server} answered {status} to {call.verb} {call.what}: {explanation or 'no reason given'}")


def _forbidden(call: ApiCall, explanation: str) -> Forbidden | Rejected:
    match = _RIGHT.search(explanation)
    if match:
        resource = f"{match['resource']}.{match['group']}" if match["group"] else match["resource"]
        call = ApiCall(match["verb"], resource, match["namespace"] or "", call.name)
        return Forbidden(f'needs {call.right} (as "{match["user"]}"); {_ADVICE}')
    if "is forbidden:" in explanation and "cannot" not in explanation:  # admission: Pod Security, a quota, a policy
        return Rejected(f"{call.what} was refused: {explanation}")
    return Forbidden(f"needs {call.right}; {_ADVICE}")


def is_status(body: str) -> bool:
    """Whether a body is a Kubernetes Status."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        return False
    return isinstance(status, dict) and status.get("kind") == "Status"


def message(body: str) -> str:
    """The message of a Kubernetes Status; of another body its beginning."""
    try:
        status: Any = json.loads(body)
    except ValueError:
        return body[:200]
    return str(status.get("message", "")) if isinstance(status, dict) else ""
