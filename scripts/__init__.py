"""The programs behind the targets of the Makefile. Not in the wheel."""

from vaccel_common.missing import explain_tools

explain_tools(__name__, "install-dev", {"scripts.charts": "install-charts", "scripts.images": "install-images"})
