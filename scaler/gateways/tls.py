"""The certificate that a server shows to whoever connects."""

from __future__ import annotations

import ssl

from scaler.errors import UnreachableError

SECONDS = 5.0


def shown(address: str, port: int) -> str:
    """Return a server's certificate in PEM, taken from its handshake and not judged."""
    try:
        return ssl.get_server_certificate((address, port), timeout=SECONDS)
    except (OSError, ValueError) as e:
        raise UnreachableError(f"{address}:{port} shows no certificate: {e or type(e).__name__}") from e
