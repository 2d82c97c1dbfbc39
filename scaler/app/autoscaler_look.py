"""Look at a cluster for the autoscaler's server: the inventory, when it has changed, and the Nodes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from scaler.app.session import kubectl_of, read_cluster
from scaler.gateways import kube
from scaler.gateways.kube import Kubectl
from scaler.gateways.places import cache_dir
from scaler.model.node_groups import World
from scaler.plan import node_groups

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scaler.gateways.clock import Clock
    from scaler.gateways.kube import Kube
    from scaler.model.inventory import Cluster

# The autoscaler's taint of a Node that it is about to delete; it takes it off by itself only when it starts.
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"

Stamp = tuple[tuple[str, int, int, int], ...]


class Lookout:
    """Looks at one cluster, again and again; what has not changed is not read again."""

    def __init__(self, name: str, cluster: Cluster, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        # Not yet read as far as this knows: it may have changed since the caller read it.
        self._stamp: Stamp = ()
        self._cluster = cluster
        self._kube: Kube | None = None

    def reopen(self, hosts: Sequence[str]) -> None:
        """Take the autoscaler's own mark off Nodes that stay: it gives no work to what it takes for deleted."""
        if self._kube is None:
            return
        for node in kube.nodes(self._kube, hosts) if hosts else ():
            if any(taint.key == TO_BE_DELETED for taint in node.spec.taints):
                self._kube.call(["taint", "nodes", node.name, f"{TO_BE_DELETED}-"])

    def look(self) -> World:
        """Look now; a Node without an ID is given one, by which the autoscaler knows its machine."""
        at = self._clock.now()
        stamp = _stamp(self._cluster.directory)
        if stamp != self._stamp or self._kube is None:
            self._cluster = read_cluster(self._name)
            cache = cache_dir() / "kubectl" / self._cluster.name
            self._kube = Kubectl(kubectl_of(self._cluster), self._cluster.settings.admin_kubeconfig, cache)
            self._stamp = stamp
        world = World(cluster=self._cluster, nodes=tuple(kube.nodes(self._kube)), at=at)
        missing = node_groups.missing_ids(world)
        if not missing:
            return world
        give_ids(self._kube, missing)
        return World(cluster=self._cluster, nodes=tuple(kube.nodes(self._kube)), at=at)


def give_ids(api: Kube, missing: dict[str, str]) -> None:
    """Give each Node its ID, which no Node can ever be given a second time."""
    for name, told in missing.items():
        api.call(["patch", "node", name, "--type=merge", "-p", json.dumps({"spec": {"providerID": told}})])


def _stamp(directory: Path) -> Stamp:
    """Return what is different after any file of the inventory was written."""
    told = []
    for path in sorted(directory.rglob("*.y*ml")):
        # One may be replaced just now.
        with suppress(FileNotFoundError):
            stat = path.stat()
            told.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(told)
