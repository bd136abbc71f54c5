"""Trains the classifier that ships: the network, its tokenizer, the labelled tweets, the figures of its card.

Needs the dependency group ``train`` (``make install-train``). Nothing that serves imports this package.
"""
