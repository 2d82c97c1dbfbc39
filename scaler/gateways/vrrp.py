"""Who speaks VRRP on a host's network, and for which virtual router: heard, not guessed.

Many distributions ship virtual router id 51; two groups with one id take each other's address (kubeadm's HA notes).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import ScalerError

if TYPE_CHECKING:
    from scaler.gateways.ssh import Ssh
    from scaler.model.inventory import Host

# A master advertises every second by default.
SECONDS = 3.5
_LISTEN = """
import json, socket, struct, sys, time
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
group = socket.inet_aton("224.0.0.18") + socket.inet_aton(sys.argv[1])
raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
heard, end = set(), time.time() + float(sys.argv[2])
while time.time() < end:
    raw.settimeout(max(0.05, end - time.time()))
    try:
        packet, peer = raw.recvfrom(2048)
    except OSError:
        continue
    payload = packet[(packet[0] & 15) * 4 :]
    if len(payload) >= 2 and payload[0] & 15 == 1:
        heard.add((peer[0], payload[1]))
print(json.dumps(sorted(heard)))
"""


class Advert(NamedTuple):
    """A speaker of VRRP by its address, and the virtual router it speaks for."""

    source: str
    router: int


def heard(ssh: Ssh, host: Host) -> tuple[Advert, ...]:
    """Return whom ``host`` hears on the network of its address within a few seconds."""
    argv = [host.connection.python, "-c", _LISTEN, host.address, str(SECONDS)]
    said = ssh.run(host, argv, timeout=30)
    if said.status != 0:
        why = (said.err.strip().splitlines() or ["no output"])[-1]
        raise ScalerError(f"{host.name}: VRRP cannot be listened for: {why}")
    return tuple(Advert(source, router) for source, router in json.loads(said.out))
