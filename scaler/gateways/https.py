"""Ask HTTPS servers from a host of the cluster, as its own programs would: names, certificates and all."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from scaler.errors import ScalerError
from scaler.model.base import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host


class Ask(Value):
    """One question: GET ``path`` at ``address``, its certificate checked against ``ca`` (PEM) and ``name``.

    Without ``ca`` the certificate is not checked, without ``name`` the address is what it must carry. ``certificate``
    and ``key`` are files on the host that asks.
    """

    address: str
    port: int
    path: str = "/readyz"
    name: str = ""
    ca: str = ""
    ca_file: str = ""
    certificate: str = ""
    key: str = ""


class Answer(Value):
    """How it went: the HTTP status, and why it is no good, empty where it is 200."""

    status: int = 0
    error: str = ""


def ask(ssh: Ssh, host: Host, asks: Sequence[Ask], *, seconds: float = 5.0) -> list[Answer]:
    """Let ``host`` ask all of ``asks``, one after another, each at most ``seconds``."""
    return [Answer.model_validate(told) for told in _run(ssh, host, {"asks": _dumped(asks), "seconds": seconds})]


def listen(
    ssh: Ssh, host: Host, ports: Sequence[int], *, pki: str, path: str, clients: int, seconds: float
) -> list[tuple[str, int]]:
    """Let ``host`` answer TLS on ``ports`` with the peer certificate in ``pki``; return who asked which port.

    Only clients count whose certificate is the same authority's and who ask for ``path``. It ends once ``clients`` of
    them asked each port, or after ``seconds``; a port that is taken is waited for as long.
    """
    asked = {
        "listen": list(ports),
        "pki": pki,
        "address": host.address,
        "path": path,
        "clients": clients * len(ports),
        "seconds": seconds,
    }
    return [(str(peer), int(port)) for peer, port in _run(ssh, host, asked)]


def _dumped(asks: Sequence[Ask]) -> list[dict[str, Any]]:
    return [each.model_dump() for each in asks]


def _run(ssh: Ssh, host: Host, told: dict[str, Any]) -> list[Any]:
    script = files("scaler.gateways").joinpath("https_script.py").read_text(encoding="utf-8")
    # The program is an argument, so that its input is free for what it is asked.
    said = ssh.run(host, [host.connection.python, "-c", script], stdin=json.dumps(told), timeout=120)
    if said.status != 0:
        why = (said.err.strip().splitlines() or ["no output"])[-1]
        raise ScalerError(f"{host.name}: it could not ask others over HTTPS: {why}")
    answer: list[Any] = json.loads(said.out)
    return answer
