"""For real over loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from scaler.errors import UnreachableError
from scaler.gateways import tls
from scaler.pki.certificates import SERVER, Subject, issue, new_ca

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


def test_the_certificate_of_an_authority_that_nobody_knows_is_shown(tmp_path: Path) -> None:
    pair = issue(new_ca("kubernetes", NOW), Subject("kube-apiserver"), [SERVER], NOW)
    (tmp_path / "both.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True):
                pass

        server = threading.Thread(target=serve)
        server.start()
        shown = tls.shown("127.0.0.1", listener.getsockname()[1])
        server.join()
    assert x509.load_pem_x509_certificate(shown.encode()) == x509.load_pem_x509_certificate(pair.certificate)


def test_where_nobody_listens_there_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(UnreachableError, match="shows no certificate"):
        tls.shown("127.0.0.1", port)
