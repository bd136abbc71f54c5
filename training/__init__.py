"""Trains the classifier that ships: data, tokenizer, network, and the metrics of its model card.

Needs the dependency group ``train`` (``make install-train``). Nothing that serves imports this package.
"""

from vaccel_common.missing import explain_tools

explain_tools(__name__, "install-train")
