"""Learn a host's key, once a person has compared its fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import InputError, IntegrityError
from scaler.gateways.files import write_atomically
from scaler.gateways.ssh import fingerprint, host_key

if TYPE_CHECKING:
    from scaler.model.inventory import Cluster


def trust(cluster: Cluster, host: str, *, port: int, expected: str) -> str:
    """Return the fingerprint ``host`` shows; with the ``expected`` one, put its key into known_hosts, replacing others.

    Raises IntegrityError where the host shows another key.
    """
    known = cluster.hosts().get(host)
    if known and port not in {22, known.connection.port}:
        raise InputError(f"{host} has port {known.connection.port} in {cluster.hosts_file}, not {port}")
    address, port = (known.address, known.connection.port) if known else (host, port)
    key = host_key(address, port)
    shown = fingerprint(key)
    if not expected:
        return shown
    if shown != expected:
        raise IntegrityError(
            f"{host} shows {shown}, not {expected}; it is not trusted",
            hint="read the fingerprint on the host's own console; somebody may stand between",
        )
    path = cluster.settings.known_hosts
    names = {host, address} if port == 22 else {f"[{address}]:{port}", f"[{host}]:{port}"}  # noqa: PLR2004 - SSH's own
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in old if not names & set(line.split(" ", 1)[0].split(","))]
    if any(line.startswith("|1|") for line in old):
        raise InputError(f"{path} has hashed names, which scaler cannot replace", hint="add the key by hand")
    line = f"{','.join(sorted(names))} {key.get_name()} {key.get_base64()}"
    write_atomically(path, "\n".join([*kept, line, ""]).encode())
    return shown
