"""What balancers share whose files a playbook of ours places on hosts of the inventory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scaler.drivers.lb import API_SERVER_PORT, Backend, Balancer, ByConfiguration, Doors, on
from scaler.errors import ScalerError
from scaler.gateways import haproxy, https
from scaler.gateways.addresses import interface_of
from scaler.gateways.ssh import on_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Cluster, Host


KEEPALIVED_CONFIGURATION = "/etc/keepalived/keepalived.conf"
# As templates/keepalived/keepalived.conf.j2 writes it.
_PEERS = re.compile(r"unicast_peer \{([^}]*)\}")


class OnHosts(ByConfiguration):
    """A balancer whose files a playbook of ours places on hosts of the inventory."""

    title = ""
    everywhere = False
    playbook = "loadbalancer_install.yml"
    group = "loadbalancers"

    def balancers(self, cluster: Cluster) -> tuple[Balancer, ...]:
        """Return one for each host of the group."""
        return tuple(Balancer(host.name, host) for host in cluster.loadbalancers)

    def rehearse(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Run the playbook in check mode, in which the program validates the file that would be placed."""
        return self._play(doors, balancers, masters, check=True)

    def put(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Run the playbook: the file is validated, replaced, and the unit reloaded."""
        return self._play(doors, balancers, masters, check=False)

    def probe(self, doors: Doors, balancer: Balancer) -> str:
        """Ask for /readyz through the balancer, from its own host."""
        settings, host = doors.cluster.settings, on(balancer)
        ask = https.Ask(address=host.address, port=settings.api_port, name=settings.api_host, ca=doors.ca)
        return https.ask(doors.ssh, host, [ask])[0].error

    def variables(self, doors: Doors, host: Host, masters: Sequence[Host]) -> dict[str, Any]:
        """Return the role's variables for ``host``."""
        told: dict[str, Any] = {"lb_masters": [{"name": m.name, "address": m.address} for m in masters]}
        if doors.cluster.settings.vip:
            told |= self._keepalived(doors, host)
        return told

    def _keepalived(self, doors: Doors, host: Host) -> dict[str, Any]:
        everyone = doors.cluster.loadbalancers
        rank = [other.name for other in everyone].index(host.name)
        others = [other.address for other in everyone if other.name != host.name]
        told = {"keepalived_priority": 150 - rank, "keepalived_peers": others or _former_peers(doors, host)}
        if "keepalived_interface" not in host.variables:
            told["keepalived_interface"] = interface_of(doors.ssh, host, host.address)
        return {name: value for name, value in told.items() if name not in host.variables}

    def _play(
        self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host], *, check: bool
    ) -> dict[str, str]:
        hosts = [on(balancer) for balancer in balancers]
        variables = {host.name: self.variables(doors, host, masters) for host in hosts}
        return doors.play(self.playbook, self.group, hosts, variables, check=check)


def _former_peers(doors: Doors, host: Host) -> list[str]:
    """Return the peers that a balancer which is alone now was told before.

    Without any it would change from unicast to multicast, and Keepalived drops the VIP for seconds while it does.
    """
    said = doors.ssh.run(host, ["cat", KEEPALIVED_CONFIGURATION])
    block = _PEERS.search(said.out) if said.status == 0 else None
    return block[1].split() if block else []


class WithSocket(OnHosts):
    """HAProxy, whose running state is read and set by its admin socket."""

    socket = ""

    def put(self, doors: Doors, balancers: Sequence[Balancer], masters: Sequence[Host]) -> dict[str, str]:
        """Place the configuration; a master that was set aside in the running one is taken back, reload or not."""
        failures = super().put(doors, balancers, masters)
        told = [on(balancer) for balancer in balancers if balancer.name not in failures]
        for host, result in on_each(told, lambda host: self._ready(doors, host, masters)).items():
            if isinstance(result, ScalerError):
                failures[host] = result.message
        return failures

    def _ready(self, doors: Doors, host: Host, masters: Sequence[Host]) -> None:
        for master in masters:
            haproxy.set_state(doors.ssh, host, self.socket, master.name, "ready")

    def serving(self, doors: Doors, balancer: Balancer) -> tuple[Backend, ...]:
        """Return the servers of the running process; one is up when its own check of /readyz has passed."""
        told = haproxy.servers(doors.ssh, on(balancer), self.socket)
        port = f":{API_SERVER_PORT}"
        return tuple(Backend(each.address.removesuffix(port).strip("[]"), up=each.up, told=each.told) for each in told)

    def set_aside(self, doors: Doors, balancer: Balancer, masters: Sequence[Host], master: Host) -> None:
        """Drain it: connections that are there go on, new ones go to the others."""
        del masters
        haproxy.set_state(doors.ssh, on(balancer), self.socket, master.name, "drain")

    def take_back(self, doors: Doors, balancer: Balancer, masters: Sequence[Host], master: Host) -> None:
        """End the drain."""
        del masters
        haproxy.set_state(doors.ssh, on(balancer), self.socket, master.name, "ready")
