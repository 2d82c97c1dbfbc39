"""A Service of type LoadBalancer gets an address, which answers from this node."""

from __future__ import annotations

from scaler.checks.join import Absent, Look, Scene, fetch

# A cloud's load balancer takes this long to be made.
_SECONDS = 60


def _look(scene: Scene) -> str | Absent:
    if not scene.target.facts.balancer:
        return Absent("no Service of this cluster has the address of a load balancer")
    if not scene.until(lambda: bool(_address(scene)), _SECONDS):
        return f"the Service of type LoadBalancer has no address after {_SECONDS} s"
    address = _address(scene)
    return scene.run("main", f"({fetch(address, f'the load balancer at {address}')}) || true").strip()


def _address(scene: Scene) -> str:
    told = [each for each in scene.objects("Service") if each["metadata"]["name"] == "balanced"]
    points = told[0].get("status", {}).get("loadBalancer", {}).get("ingress") if told else None
    return str(points[0].get("ip") or points[0].get("hostname") or "") if points else ""


CHECK = Look("load-balancer", "services", _look, needs=("main", "balanced"))
