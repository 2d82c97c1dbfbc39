from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from scaler.gateways.externalgrpc.messages import SERVICE, methods

if TYPE_CHECKING:
    from pathlib import Path


class Client:
    """The autoscaler's side: a method for each call, which takes the fields of the request."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __call__(self, method: str, **fields: Any) -> Any:
        request, response = methods()[method]
        call: Any = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=lambda made: made.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return call(request(**fields), timeout=5)

    def refused(self, method: str, **fields: Any) -> tuple[str, str]:
        with pytest.raises(grpc.RpcError) as e:
            self(method, **fields)
        call: Any = e.value
        return call.code().name, call.details()


def channel(port: int, pki: Path, *, client: Path | None = None, ca: Path | None = None) -> grpc.Channel:
    mine = client or pki
    credentials = grpc.ssl_channel_credentials(
        (ca or pki / "ca.crt").read_bytes(), (mine / "client.key").read_bytes(), (mine / "client.crt").read_bytes()
    )
    return grpc.secure_channel(f"127.0.0.1:{port}", credentials)
