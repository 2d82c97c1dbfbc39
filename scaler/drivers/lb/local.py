"""A balancer on every worker at 127.0.0.1: HAProxy as a unit of ours. A master has its own API server instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.drivers.lb import Balancer, Doors, on
from scaler.drivers.lb_on_hosts import WithSocket
from scaler.gateways import https

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Cluster, Host


class Local(WithSocket):
    """HAProxy of each worker's own."""

    title = "local balancers"
    everywhere = True
    playbook = "local_balancer.yml"
    group = "workers"
    socket = "/run/kube-lb/admin.sock"

    def balancers(self, cluster: Cluster) -> tuple[Balancer, ...]:
        """Return one for each worker that is no master."""
        masters = {host.name for host in cluster.masters}
        return tuple(Balancer(host.name, host) for host in cluster.workers if host.name not in masters)

    def variables(self, doors: Doors, host: Host, masters: Sequence[Host]) -> dict[str, Any]:
        """Return the masters; workers hold no VIP."""
        del doors, host
        return {"lb_masters": [{"name": m.name, "address": m.address} for m in masters]}

    def probe(self, doors: Doors, balancer: Balancer) -> str:
        """Ask for /readyz through 127.0.0.1 of the worker."""
        port = doors.cluster.settings.local_api_port
        ask = https.Ask(address="127.0.0.1", port=port, ca=doors.ca)
        return https.ask(doors.ssh, on(balancer), [ask])[0].error


DRIVER = Local()
