"""What users run to put a classifier of their own into one model file, and to make faster variants of it.

Needs the extra ``export``, but for `tokenizer`. May import ``training`` (the network whose variants it makes) and
``vaccel_common``; nothing that serves imports this package.
"""
