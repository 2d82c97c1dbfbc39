from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from scaler.plan.plan import Drain, Seen
from tests.fakes import world
from tests.fakes.world import Fakes, hosts

if TYPE_CHECKING:
    from pathlib import Path

INVENTORY = """\
# The cluster prod.
all:
  children:
    masters:
      hosts:
        m1:
          ansible_host: 10.0.0.1
    workers:  # who work
      hosts:
        n1:  # in the cellar
          ansible_host: 10.0.0.11  # a lease
        n2:
          ansible_host: 10.0.0.12
        w1:
          ansible_host: 10.0.0.13
"""


def inhabit(fakes: Fakes, directory: Path, *names: str) -> None:
    """Make nodes and hosts of ``names``, as scaler installed them, and the inventory that has them."""
    for name in names:
        fakes.kube.add_node(name, address=fakes.world.cluster.hosts()[name].address)
        machine = fakes.ssh.machines[name]
        machine.files = {
            "/etc/machine-id": f"machine-{name}\n",
            "/var/lib/scaler/worker.json": json.dumps({"claim": {"cluster": "prod", "node": name}}),
            "/var/lib/kubelet/config.yaml": "",
        }
    (directory / "hosts.yml").write_text(INVENTORY, encoding="utf-8")
    digest = hashlib.sha256(INVENTORY.encode()).hexdigest()
    fakes.world.cluster = fakes.world.cluster.model_copy(update={"hosts_digest": digest})


def leaving(directory: Path, *names: str, drain: Drain | None = None, **more: Any) -> Fakes:
    """Return a world in which ``names`` leave, beside a worker w1 that stays."""
    chosen = hosts("n1", "n2", "w1")
    fakes = Fakes(directory, chosen, workers=chosen)
    fakes.kube.add_node("m1", address="10.0.0.1", unschedulable=True)
    inhabit(fakes, directory, "n1", "n2", "w1")
    nodes = fakes.kube.of("Node")
    seen = {n: Seen(uid=nodes[n]["metadata"]["uid"], machine_id=f"machine-{n}") for n in names}
    out = [each for each in chosen if each.name in names]
    told = {"change": "remove-node", "leaves": "workers", "drain": drain or Drain(timeout=30), "seen": seen, **more}
    fakes.hosts = tuple(out)
    fakes.world.plan = world.plan(out, **told)
    return fakes
