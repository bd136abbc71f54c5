"""gRPC: the same methods and messages, with the standard health and reflection services."""

from __future__ import annotations

import logging
import time
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from agent.endpoints import Endpoint, error_status
from agent.reassembly import GenopReassembler
from agent.service import RpcService
from agent.sessions import Scope, Sessions
from vaccel_common.tracecontext import joined
from vaccel_rpc.addresses import Address
from vaccel_rpc.channels import Tls
from vaccel_rpc.channels.grpc import DETAILS, message_options
from vaccel_rpc.errors import RpcError
from vaccel_rpc.proto.dialect07 import agent07_pb2
from vaccel_rpc.proto.dialect08 import agent_async_pb2, agent_sync_pb2

_log = logging.getLogger("agent.grpc")

_SERVICES = tuple(
    file.DESCRIPTOR.services_by_name["AgentService"].full_name for file in (agent07_pb2, agent_sync_pb2, agent_async_pb2)
)


class GrpcServer:
    """One server for all gRPC addresses."""

    def __init__(self, service: RpcService, sessions: Sessions, max_message: int, tls: Tls | None) -> None:
        self._service, self._max_message, self._tls = service, max_message, tls
        self._scope = sessions.scope(secret=True)
        options = [*message_options(max_message), ("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 1024)]
        self._server = grpc.aio.server(options=options)
        self._health = health.aio.HealthServicer()
        self._server.add_generic_rpc_handlers((_Handlers(service, self._scope, max_message),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    def bind(self, address: Address) -> Address:
        """Binds an address, which is served from `start` on; returns it with the port that it got.

        Raises ``OSError``.
        """
        try:
            if self._tls is None or address.is_unix:
                port = self._server.add_insecure_port(address.target)
            else:
                port = self._server.add_secure_port(address.target, _credentials(self._tls))
        except RuntimeError as error:
            raise OSError(0, str(error)) from None
        return address if address.is_unix else Address(address.scheme, address.host, port)

    async def start(self) -> None:
        """Begins to serve, not ready yet."""
        await self.set_ready(ready=False)
        await self._server.start()

    async def set_ready(self, *, ready: bool) -> None:
        """Sets the answer of the health service, for the server and for each service."""
        state = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *_SERVICES):
            await self._health.set(name, state)

    async def stop(self, grace: float) -> None:
        """Takes no new calls; running ones may finish within ``grace`` seconds."""
        await self._server.stop(grace)


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, service: RpcService, scope: Scope, max_message: int) -> None:
        self._service, self._scope, self._max_message = service, scope, max_message

    def service(self, handler_call_details: Any) -> Any:
        endpoint = self._service.endpoints.get(handler_call_details.method.removeprefix("/"))
        if endpoint is None:
            return None
        if endpoint.method.streams:
            return grpc.stream_unary_rpc_method_handler(self._streamed(endpoint))
        return grpc.unary_unary_rpc_method_handler(self._unary(endpoint))

    def _unary(self, endpoint: Endpoint) -> Any:
        async def handle(payload: bytes, context: Any) -> bytes:
            try:
                return b"".join(await self._service.call(endpoint, self._scope, payload, _deadline(context), _metadata(context)))
            except RpcError as error:
                return await _abort(context, endpoint, error)

        return handle

    def _streamed(self, endpoint: Endpoint) -> Any:
        async def handle(payloads: Any, context: Any) -> bytes:
            arguments = GenopReassembler(endpoint, self._scope, self._max_message)
            try:
                async for payload in payloads:
                    arguments.add(payload)
                return b"".join(await self._service.call_joined(endpoint, self._scope, arguments, _deadline(context)))
            except RpcError as error:
                return await _abort(context, endpoint, error)

        return handle


def _deadline(context: Any) -> float | None:
    left = context.time_remaining()
    return None if left is None else time.monotonic() + left


def _metadata(context: Any) -> dict[str, str]:
    return joined((key, value) for key, value in context.invocation_metadata() or () if isinstance(value, str))


async def _abort(context: Any, endpoint: Endpoint, error: RpcError) -> bytes:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    details = error_status(endpoint, error).SerializeToString()
    await context.abort(codes[error.code], error.message, ((DETAILS, details),))
    return b""


def _credentials(tls: Tls) -> Any:
    ca, key, cert = tls.read()
    return grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=ca is not None)
