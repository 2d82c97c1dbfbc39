"""Tell systemd how a service of Type=notify is: a datagram to the socket that it named, nothing where it named none."""

from __future__ import annotations

import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def notify(message: str) -> bool:
    """Send ``message``, as READY=1; tell whether anybody wanted to know."""
    path = os.environ.get(VARIABLE, "")
    if not path:
        return False
    # One that begins with @ is in the abstract namespace.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as door:
        door.connect("\0" + path[1:] if path.startswith("@") else path)
        door.sendall(message.encode())
    return True
