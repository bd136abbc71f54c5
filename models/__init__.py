"""The model that ships, its card, and the commands ``python -m models.NAME``.

The programs behind these commands are in ``training`` and ``export``.
"""
