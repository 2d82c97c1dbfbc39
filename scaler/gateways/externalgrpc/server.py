"""The server that the Cluster Autoscaler calls: TLS from both sides, one method of ``answers`` a call."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from scaler.errors import InputError, ScalerError
from scaler.gateways.externalgrpc.messages import SERVICE, methods
from scaler.plan.node_groups import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CALLS_AT_ONCE = 16
_GRACE_SECONDS = 10


class Certificates(NamedTuple):
    """Where the server's certificate and key are, and the CA of who may call."""

    certificate: Path
    key: Path
    client_ca: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Read all three; raises InputError where one cannot be."""
        told = []
        for path in self:
            try:
                told.append(path.read_bytes())
            except OSError as e:
                raise InputError(f"{path} cannot be read: {e.strerror}") from e
        return told[0], told[1], told[2]


class Call(NamedTuple):
    """One call as it ended, for who counts them."""

    method: str
    code: str
    seconds: float


@contextmanager
def listening(
    address: str, certificates: Certificates | None, answers: object, heard: Callable[[Call], None]
) -> Iterator[int]:
    """Answer calls at ``address`` until the end of the block, where those that were begun are finished; yield the port.

    ``answers`` has a method for each of the service's. Without ``certificates`` everybody on the way may call.
    """
    server = grpc.server(
        ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="call"),
        # Two servers at one address would each get some of the calls, and neither would notice.
        options=[("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers((_handler(answers, heard),))
    try:
        if certificates is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, _credentials(certificates))
    except RuntimeError as e:
        raise InputError(f"{address} cannot be listened on: {e}", hint="is another server there already?") from e
    server.start()
    try:
        yield port
    finally:
        server.stop(_GRACE_SECONDS).wait()


def _credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Return credentials that ask each client for its certificate, and read the files anew when one has changed."""

    def configuration() -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = certificates.read()
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)

    def stamps() -> tuple[tuple[int, int], ...]:
        return tuple((told.st_mtime_ns, told.st_ino) for told in map(os.stat, certificates))

    seen = stamps()

    # None is grpc's word for "as before", which its types do not know.
    def renewed() -> Any:  # noqa: ANN401
        nonlocal seen
        # Half of what is renewed may be there; then the old one goes on, and the next handshake looks again.
        try:
            now = stamps()
            if now == seen:
                return None
            fresh = configuration()
        except (OSError, ScalerError):
            return None
        seen = now
        return fresh

    return grpc.dynamic_ssl_server_credentials(configuration(), renewed, require_client_authentication=True)


def _handler(answers: object, heard: Callable[[Call], None]) -> grpc.GenericRpcHandler:
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
    for name, (request, _) in methods().items():
        handlers[name] = grpc.unary_unary_rpc_method_handler(
            _answering(name, getattr(answers, name), heard),
            request_deserializer=request.FromString,
            response_serializer=lambda response: response.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


def _answering(
    name: str, answer: Callable[[Any], Any], heard: Callable[[Call], None]
) -> Callable[[Any, grpc.ServicerContext], Any]:
    """Return what answers a call: a refusal becomes its status, any other error says that nothing was done."""

    def answering(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - messages are made from data
        began, code, why = time.monotonic(), grpc.StatusCode.OK, ""
        response = None
        try:
            response = answer(request)
        except RefusedError as e:
            code, why = grpc.StatusCode[e.status], e.message
        except NotImplementedError as e:
            code, why = grpc.StatusCode.UNIMPLEMENTED, str(e)
        except ScalerError as e:
            code, why = grpc.StatusCode.UNAVAILABLE, f"{e.message} ({e.hint})" if e.hint else e.message
        except Exception as e:  # noqa: BLE001 - a defect is the caller's to know, and the server goes on
            code, why = grpc.StatusCode.INTERNAL, f"a defect of scaler: {type(e).__name__}: {e}"
        heard(Call(name, code.name, time.monotonic() - began))
        if code is not grpc.StatusCode.OK:
            context.abort(code, why)
        return response

    return answering
