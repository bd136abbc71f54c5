"""The function: HTTP in, labels out. No torch, no model: an agent runs it.

``app`` -> `classify` -> `tokens` and ``vaccel_rpc``; only ``app`` knows Flask. May import ``vaccel_rpc``, never ``agent``,
``models`` or torch.
"""
