"""The function: HTTP in, labels out. No torch, no model: an agent runs it.

``web`` -> `service` -> `classify` -> `tokens` and ``vaccel_rpc``; only ``web`` knows Flask. May import ``vaccel_rpc``, never
``agent``, ``models`` or torch.
"""

__version__ = "0.1.0"
