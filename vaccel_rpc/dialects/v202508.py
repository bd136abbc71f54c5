"""Dialect 2025-08: what builds of upstream's main branch spoke from 2025-08-04 to 2025-10-19.

It is 0.8 with the generic operation's messages of 0.7.
"""

from __future__ import annotations

from dataclasses import replace

from vaccel_rpc.dialects import v07, v08

_OLD = v07.DIALECT.methods

DIALECT = replace(
    v08.DIALECT,
    version="2025-08",
    methods={**v08.DIALECT.methods, "genop": _OLD["genop"], "genop_stream": _OLD["genop_stream"]},
    arg=v07.DIALECT.arg,
    arg_type=v07.DIALECT.arg_type,
)
