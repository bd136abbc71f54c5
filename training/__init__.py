"""Trains the classifier that ships: the network, its tokenizer, the labelled tweets, the figures of its card.

Needs the extra ``train``. Nothing that serves imports this package.
"""
