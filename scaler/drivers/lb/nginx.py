"""Nginx's stream module on hosts of its own. It has no checks of its own, so a backend is asked from the same host."""

from __future__ import annotations

import re

from scaler.drivers.lb import API_SERVER_PORT, Backend, Balancer, Doors, on
from scaler.drivers.lb_on_hosts import OnHosts
from scaler.errors import StepError
from scaler.gateways import https

CONFIGURATION = "/etc/nginx/nginx.conf"
# As templates/nginx/nginx.conf.j2 writes it.
_SERVER = re.compile(rf"^\s*server (\S+):{API_SERVER_PORT}\b[^;]*;", re.MULTILINE)


class Nginx(OnHosts):
    """The distribution's Nginx with its stream module."""

    title = "Nginx"

    def serving(self, doors: Doors, balancer: Balancer) -> tuple[Backend, ...]:
        """Return the servers of the configuration that was loaded, each asked for /readyz from this very host."""
        host = on(balancer)
        said = doors.ssh.run(host, ["cat", CONFIGURATION])
        if said.status != 0:
            raise StepError(f"{balancer.name}: {CONFIGURATION} cannot be read: {said.err.strip()}")
        addresses = _SERVER.findall(said.out)
        asks = [https.Ask(address=address, port=API_SERVER_PORT, ca=doors.ca) for address in addresses]
        answers = https.ask(doors.ssh, host, asks) if asks else []
        return tuple(
            Backend(address, up=not answer.error, told=answer.error)
            for address, answer in zip(addresses, answers, strict=True)
        )


DRIVER = Nginx()
