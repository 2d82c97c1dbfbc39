"""A Service of type LoadBalancer gets an address, which answers from this node."""

from scaler.checks.join import Absent, JoinCheck, Target, fetch


def _line(target: Target) -> str | Absent:
    if not target.facts.balancer:
        return Absent("no Service of this cluster has the address of a load balancer")
    if not target.balanced_ip:
        return "echo 'the Service of type LoadBalancer has no address yet'; exit 1"
    return fetch(target.balanced_ip, f"the load balancer at {target.balanced_ip}")


CHECK = JoinCheck("load-balancer", "node", _line, group="services", needs=("balanced",))
