"""The options of ``verify``, each declared once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from knative.cluster.objects import SELECTOR
from knative.verify.hosts import HOST, RESOLVE, URL
from loadkit.texts import LABELS, TEXTS
from vaccel_common.kinds import Flag, Many, Parsed, PathTo, Text
from vaccel_common.number_kinds import Integer, Number, seconds
from vaccel_common.options import ConfigError, option


def _labels(text: str) -> tuple[str, ...]:
    return tuple(label.strip() for label in text.split(","))


@dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What is checked, and against which limits; times in seconds."""

    url: str | None = option(
        URL, help="The function's URL.", choose="Needed without access to the cluster.", shown="the Knative Service's own"
    )
    ingress: tuple[str, int | None] | None = option(
        HOST,
        flags=("--ingress", "--ingress-host"),
        help="Connect to this address and send the URL's Host.",
        shown="the URL's host",
        choose="Needed where the URL's name does not resolve to the ingress.",
    )
    resolve: tuple[tuple[str, int, str], ...] = option(
        Many(RESOLVE), (), help="Connect to ADDR for HOST:PORT, as curl does; repeatable."
    )
    ca: Path | None = option(
        PathTo(existing=True),
        help="A PEM file with the CA that signed an https URL's certificate.",
        choose="For a private CA.",
        shown="the CAs that Python's ssl trusts",
    )
    service: str = option(Text("NAME"), "vaccel-function", help="The function's Knative Service, whose pods are counted.")
    baseline: bool = option(
        Flag(),
        False,
        help="Compare cold starts with the hello-world of knative/manifests/hello.yaml, which is deployed for that time.",
        choose="The platform's share of a cold start is then known, and the figure can be compared with other clusters'.",
    )
    baseline_image: str | None = option(
        Text("IMAGE"), help="The image of that hello-world.", choose="vaccel-hello in your registry.", shown="as in the file"
    )
    baseline_url: str | None = option(
        URL,
        help="The URL of another Knative Service in the namespace, to compare cold starts with.",
        choose="For a baseline of your own.",
        shown="no comparison",
    )
    max_extra_s: float | None = option(
        Number(placeholder="SECONDS"),
        help="How much longer than the baseline's the median cold start may take.",
        shown="the difference is only reported",
        choose="What users notice: 0.3 is a good start. Needs --baseline or --baseline-url.",
    )
    cold_starts: int = option(
        Integer(0), 3, help="Rounds of scaling to zero and then one request.", choose="More give a steadier median."
    )
    burst: int = option(
        Integer(0),
        8,
        help="Requests sent at the same time to a function at zero; 0 skips the check.",
        choose="What arrives at once in practice.",
    )
    idle_timeout: float = option(
        seconds(minimum=0),
        180.0,
        help="How long scaling to zero may take.",
        choose="More than the cluster's stable-window (60) plus scale-to-zero-grace-period (30).",
    )
    request_timeout: float = option(
        seconds(),
        60.0,
        help="How long one response may take, a cold start included.",
        choose="More where a cold start pulls the image.",
    )
    texts: tuple[str, ...] = option(
        Many(Text()),
        TEXTS,
        flags=("--text",),
        help="A text to classify; repeatable.",
        choose="Texts of your users, for a model of your own.",
        shown="three mild sentences",
    )
    labels: tuple[str, ...] = option(
        Parsed(_labels, "LABEL,...", "labels separated by commas", ",".join),
        LABELS,
        help="The labels that answers must have.",
        choose="Those of a model of your own, in any order.",
    )
    junit: Path | None = option(
        PathTo(),
        help="Also write the checks to FILE as JUnit's XML.",
        choose="For a pipeline that shows test reports; --json has the figures too.",
        shown="no file",
    )
    agent_selector: str = option(Text("LABELS"), SELECTOR, help="The label selector of the agents' pods.")
    poll_s: float = option(
        seconds(),
        1.0,
        help="The time between two looks at the cluster.",
        choose="Less reports changes sooner and loads the API server more.",
    )

    def __post_init__(self) -> None:
        """Raises `ConfigError` for a combination that cannot be checked."""
        if self.baseline and self.baseline_url:
            raise ConfigError("give --baseline or --baseline-url, not both")
        if self.baseline_image and not self.baseline:
            raise ConfigError("--baseline-image needs --baseline")
        if self.max_extra_s is not None and not (self.baseline or self.baseline_url):
            raise ConfigError("--max-extra-s needs --baseline or --baseline-url")
