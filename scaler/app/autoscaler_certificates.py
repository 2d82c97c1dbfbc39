"""Make what the autoscaler and its server show each other: a CA that is nothing else's, and a certificate for each."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from scaler.errors import InputError
from scaler.gateways.files import write_atomically
from scaler.pki.certificates import CLIENT, SERVER, Pair, Subject, check_ca, issue, new_ca

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

SERVER_NAME, CLIENT_NAME = "scaler-autoscaler", "cluster-autoscaler"


def make(directory: Path, hosts: Sequence[str], now: datetime) -> list[Path]:
    """Write ``server`` and ``client``, each .crt and .key, into ``directory``; a CA that is there is gone on with.

    ``hosts`` are the names and addresses that the autoscaler calls the server by. Returns the files.
    """
    addresses = tuple(host for host in hosts if _is_address(host))
    names = tuple(host for host in hosts if host not in addresses)
    try:
        ca, written = _ca(directory, now)
        server = issue(ca, Subject(SERVER_NAME, dns=names, addresses=addresses), [SERVER], now)
        client = issue(ca, Subject(CLIENT_NAME), [CLIENT], now)
        for name, pair in (("server", server), ("client", client)):
            written += _write(directory, name, pair)
    except OSError as e:
        raise InputError(f"{directory} cannot be written: {e.strerror}") from e
    return written


def _ca(directory: Path, now: datetime) -> tuple[Pair, list[Path]]:
    certificate, key = directory / "ca.crt", directory / "ca.key"
    if certificate.exists() != key.exists():
        one, other = (certificate, key) if certificate.exists() else (key, certificate)
        raise InputError(f"{one} is there, and {other} is not", hint="bring it back, or choose an empty directory")
    if certificate.exists():
        found = Pair(certificate.read_bytes(), key.read_bytes())
        check_ca(str(directory), found, now)
        return found, []
    made = new_ca("scaler-autoscaler-ca", now)
    return made, _write(directory, "ca", made)


def _write(directory: Path, name: str, pair: Pair) -> list[Path]:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    write_atomically(key, pair.key, mode=0o600)
    write_atomically(certificate, pair.certificate)
    return [certificate, key]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
