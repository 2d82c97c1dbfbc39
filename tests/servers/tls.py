"""TLS on loopback, by one authority for all servers of a process: gRPC reads the roots that it trusts once."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@cache
def authority() -> trustme.CA:
    return trustme.CA()


@cache
def certificate() -> trustme.LeafCert:
    return authority().issue_cert("127.0.0.1")


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate().configure_cert(context)
    return context


def trusted(file: Path) -> Path:
    """Write what a client is to trust."""
    authority().cert_pem.write_to_path(str(file))
    return file
