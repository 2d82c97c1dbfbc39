"""A running HAProxy by its admin socket on its host: the state of its servers, read as CSV, and set."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Literal, NamedTuple

from scaler.errors import StepError

if TYPE_CHECKING:
    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host

BACKEND = "masters"
# HAProxy's code for a passed HTTP check; a server counts as UP before its first check, which proves nothing.
_PASSED = "L7OK"
_TALK = """
import socket, sys
talk = socket.socket(socket.AF_UNIX)
talk.settimeout(5)
talk.connect(sys.argv[1])
talk.sendall(sys.argv[2].encode() + b"\\n")
while block := talk.recv(65536):
    sys.stdout.buffer.write(block)
"""


class Server(NamedTuple):
    """One server of the backend: HOST:PORT, whether a new connection may go there, and HAProxy's words."""

    name: str
    address: str
    up: bool
    told: str


def servers(ssh: Ssh, host: Host, socket: str) -> tuple[Server, ...]:
    """Return the servers of backend ``masters`` as the running process sees them."""
    lines = _talk(ssh, host, socket, "show stat").lstrip("# ").splitlines()
    rows = [row for row in csv.DictReader(lines) if row["pxname"] == BACKEND and row["svname"] != "BACKEND"]
    return tuple(
        Server(
            row["svname"],
            row["addr"],
            # While a check runs, the last one's outcome is told behind an asterisk.
            up=row["status"].startswith("UP") and row["check_status"].removeprefix("* ") == _PASSED,
            told=f"{row['status']} {row['check_status']} {row.get('last_chk', '')}".strip(),
        )
        for row in rows
    )


def set_state(ssh: Ssh, host: Host, socket: str, server: str, state: Literal["ready", "drain"]) -> None:
    """Let ``server`` get new connections, or none; raises StepError with HAProxy's refusal."""
    said = _talk(ssh, host, socket, f"set server {BACKEND}/{server} state {state}").strip()
    if said:
        raise StepError(f"{host.name}: HAProxy did not set {server} to {state}: {said}")


def _talk(ssh: Ssh, host: Host, socket: str, command: str) -> str:
    said = ssh.run(host, [host.connection.python, "-c", _TALK, socket, command])
    if said.status != 0:
        why = (said.err.strip().splitlines() or ["no answer"])[-1]
        raise StepError(
            f"{host.name}: HAProxy does not answer on {socket}: {why}", hint="systemctl status haproxy there"
        )
    return said.out
