"""The model that ships, its card, and the commands ``python -m models.NAME``.

The programs behind these commands are in ``training`` and ``export``.
"""

from vaccel_common.missing import explain_tools

explain_tools(__name__, "install-export", {"models.train": "install-train"})
