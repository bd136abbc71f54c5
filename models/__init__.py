"""The models that ship, their cards, and what the documented commands ``python -m models.NAME`` are called by.

The tools themselves are in ``training`` and ``export``.
"""
