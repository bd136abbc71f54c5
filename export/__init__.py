"""What users run to put a classifier of their own into one model file, and to make faster variants of it.

All but `tokenizer` need the dependency group ``export`` (``make install-export``). May import ``training`` (the network whose variants it makes) and
``vaccel_common``; nothing that serves imports this package.
"""
