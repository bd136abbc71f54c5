"""The model that ships, and the tools that train one and put one into a single file.

Run these as programs: ``python -m models.train`` (needs the extra ``train``) and ``python -m models.export``.
May import ``vaccel_rpc`` (for the model-file format) and torch; nothing that serves imports this package.
"""
