"""How the server of GKE is reached: TLS, tokens that a service account signs itself, and gRPC over a wire to cut."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from tests.servers.base import Answer, Request
from tests.servers.tls import certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SERVICE = "google.container.v1.ClusterManager"
CODES = {
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
_HOUR = 3600


class RefusedError(Exception):
    """A request that is not done: gRPC's word for why, what a person is told, and the ErrorInfo's reason."""

    def __init__(self, status: str, message: str, reason: str = "", *, http: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.http = status, message, reason, http or CODES[status]

    @property
    def answer(self) -> Answer:
        """The answer, as JSON has it."""
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason, "domain": _domain()}
        told = {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": f"req-{time.monotonic_ns():x}"}
        error = {"code": self.http, "message": self.message, "status": self.status}
        return Answer(self.http, {"error": {**error, "details": [*([info] if self.reason else []), told]}})


def _domain() -> str:
    return "container.googleapis.com"


class ServiceAccount:
    """A service account with a key of its own; its tokens are checked as Google does."""

    email = "scaler@shop-prod.iam.gserviceaccount.com"

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_id = "0123456789abcdef"

    def write(self, path: Path) -> Path:
        """Write the account's file, whose token address nobody listens at."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        told = {
            "type": "service_account",
            "project_id": "shop-prod",
            "private_key_id": self.key_id,
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": "1",
            "token_uri": "https://127.0.0.1:9/token",
        }
        path.write_text(json.dumps(told))
        return path

    def check(self, authorization: str, audience: str) -> None:
        """Refuse whatever is not a fresh token of this account for this service."""
        token = authorization.removeprefix("Bearer ")
        try:
            head, body, signature = token.split(".")
            header, claims = json.loads(_decoded(head)), json.loads(_decoded(body))
            self._key.public_key().verify(
                _decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, InvalidSignature) as e:
            raise RefusedError("UNAUTHENTICATED", f"Request had invalid authentication credentials: {e!r}") from e
        now = time.time()
        wrong = [
            what
            for what, right in {
                "alg": header.get("alg") == "RS256",
                "kid": header.get("kid") == self.key_id,
                "iss": claims.get("iss") == self.email,
                "sub": claims.get("sub") == self.email,
                "aud": claims.get("aud") == audience,
                "exp": now < claims.get("exp", 0) <= claims.get("iat", 0) + _HOUR,
                "iat": claims.get("iat", now + _HOUR) <= now + 10,
            }.items()
            if not right
        ]
        if wrong:
            raise RefusedError("UNAUTHENTICATED", f"Request had invalid authentication credentials: {', '.join(wrong)}")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Wire:
    """A port that passes everything on to another one, and whose connections can be cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections that there are."""
        with self._lock:
            for end in self._ends:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            self._ends.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            with self._lock:
                self._ends += [near, far]
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


class GrpcDoor:
    """Takes gRPC requests and hands them on as JSON; ``messages`` are the request and answer of each method."""

    def __init__(self, messages: Mapping[str, tuple[Any, Any]], answered: Callable[[Request], Answer]) -> None:
        self._answered = answered
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        handlers = {name: self._handler(name, *kinds) for name, kinds in messages.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        leaf = certificate()
        chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
        credentials = grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)])
        port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()
        self.wire = Wire(port)

    def close(self) -> None:
        self.wire.close()
        self._server.stop(grace=None)

    def _handler(self, name: str, takes: Any, gives: Any) -> grpc.RpcMethodHandler[Any, Any]:
        def handle(asked: Any, context: grpc.ServicerContext) -> Any:
            headers = {key.lower(): str(value) for key, value in context.invocation_metadata()}
            body = json.dumps(json_format.MessageToDict(takes.pb(asked))).encode()
            path = f"/{SERVICE}/{name}"
            answer = self._answered(Request("POST", path, {}, headers, body, time.monotonic(), name))
            if answer.cut:
                self.wire.cut()
                context.abort(grpc.StatusCode.CANCELLED, "nobody hears this")
            if answer.status != 200:
                context.abort_with_status(rpc_status.to_status(_status(answer.body["error"])))
            return gives.wrap(json_format.ParseDict(answer.body, gives.pb(gives())))

        return grpc.unary_unary_rpc_method_handler(handle, takes.deserialize, gives.serialize)


def _status(error: Mapping[str, Any]) -> status_pb2.Status:
    code = next(code.value[0] for code in grpc.StatusCode if code.name == error["status"])
    status = status_pb2.Status(code=code, message=error["message"])
    for detail in error["details"]:
        kind = detail["@type"].rsplit(".", 1)[-1]
        message = getattr(error_details_pb2, kind)()
        json_format.ParseDict({name: value for name, value in detail.items() if name != "@type"}, message)
        packed = any_pb2.Any()
        packed.Pack(message)
        status.details.append(packed)
    return status
