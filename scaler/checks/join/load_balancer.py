"""A Service of type LoadBalancer gets an address, which answers from this node."""

from __future__ import annotations

import json

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
    told = json.loads(scene.call("get", "service", "balanced", "--output=json"))
    points = told.get("status", {}).get("loadBalancer", {}).get("ingress")
    return str(points[0].get("ip") or points[0].get("hostname") or "") if points else ""


CHECK = Look("load-balancer", "services", _look, needs=("main", "balanced"))
