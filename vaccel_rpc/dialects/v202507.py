"""Dialect 2025-07: what builds of upstream's main branch spoke from 2025-06-30 to 2025-08-04.

Between the releases 0.7 and 0.8: the service and most messages of 0.7, but 0.8's for uploaded files
and, from 2025-07-17 on, for loading and running models.
"""

from __future__ import annotations

from dataclasses import replace

from vaccel_rpc.dialects import v07, v08
from vaccel_rpc.proto.dialect08 import resource_pb2

_NEW = v08.DIALECT.methods

DIALECT = replace(
    v07.DIALECT,
    version="2025-07",
    methods={
        **v07.DIALECT.methods,
        "register": replace(v07.DIALECT.methods["register"], request=resource_pb2.RegisterRequest),
        **{operation: _NEW[operation] for operation in ("sync", "load", "run")},
    },
    tensor=v08.DIALECT.tensor,
    blob=v08.DIALECT.blob,
    blobs=v08.DIALECT.blobs,
    blob_path=v08.DIALECT.blob_path,
    blob_kind=v08.DIALECT.blob_kind,
    outputs=v08.DIALECT.outputs,
)
