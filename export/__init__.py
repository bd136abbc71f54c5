"""Tools that put a classifier into one model file, and that make faster variants of it.

All but `tokenizer` need the dependency group ``export`` (``make install-export``). May import
``training`` (the network that variants are made from), and what serves (``agent``, ``function``),
through which every file that is written is checked; nothing that serves imports this package.
"""

from vaccel_common.missing import explain_tools
from vaccel_common.telemetry import send_nothing

explain_tools(__name__, "install-export")
send_nothing()
