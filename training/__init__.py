"""Trains the classifier that ships: data, tokenizer, network, and the metrics of its model card.

Needs the dependency group ``train`` (``make install-train``). Nothing that serves imports this package.
"""
