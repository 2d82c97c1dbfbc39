from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scaler.model.inventory import Connection, Host
from scaler.model.node_groups import World
from scaler.model.state import Node
from tests.unit import examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scaler.gateways.children import Child
    from scaler.model.node_groups import Verb

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POOLS: dict[str, Any] = {
    "web": {"min": 1, "max": 4, "labels": {"disk": "ssd"}, "taints": ["dedicated=web:NoSchedule"]},
    "batch": {"cpu": 8, "memory": "32Gi"},
}


class Fleet:
    """The machines of a cluster's pools: which work, which wait, which have a Node; runs of scaler move them.

    ``broken`` are hosts that no run can add or remove, ``unreachable`` those for which a whole run is refused,
    ``silent`` those whose Nodes are not Ready.
    """

    def __init__(self, web: int = 4, batch: int = 3, *, working: Iterable[str] = ("web-1",)) -> None:
        self.pools = POOLS
        self.names = [f"web-{n}" for n in range(1, web + 1)] + [f"batch-{n}" for n in range(1, batch + 1)]
        self.working = set(working)
        self.nodes: dict[str, dict[str, Any]] = {name: {} for name in self.working}
        self.broken: dict[str, str] = {}
        self.unreachable: set[str] = set()
        self.silent: set[str] = set()
        self.now = NOW

    def host(self, name: str) -> Host:
        number = 40 + self.names.index(name)
        return Host(name=name, pool=name.split("-", maxsplit=1)[0], connection=Connection(address=f"192.0.2.{number}"))

    def look(self) -> World:
        """Look as the server does."""
        hosts = [self.host(name) for name in self.names]
        cluster = examples.cluster(
            settings=examples.settings(pools=self.pools),
            workers=tuple(host for host in hosts if host.name in self.working),
            standby=tuple(host for host in hosts if host.name not in self.working),
        )
        return World(cluster=cluster, nodes=tuple(self.node(name) for name in sorted(self.nodes)), at=self.now)

    def node(self, name: str) -> Node:
        told = {"providerID": f"scaler://prod/{name}", **self.nodes[name]}
        ready = {"type": "Ready", "status": "Unknown" if name in self.silent else "True"}
        has, gives = ({"cpu": "4", "memory": memory, "pods": "110"} for memory in ("9Gi", "8Gi"))
        status = {"conditions": [ready], "capacity": has, "allocatable": gives}
        return Node.model_validate({"metadata": {"name": name}, "spec": told, "status": status})

    def run(self, verb: Verb, hosts: Sequence[str]) -> tuple[int, dict[str, Any]]:
        """Do what a run of scaler does, and return its exit code and envelope."""
        if self.unreachable & set(hosts):
            return 4, envelope(4, kind="preflight", message=f"{sorted(self.unreachable)} cannot be reached")
        failed = {host: self.broken[host] for host in hosts if host in self.broken}
        for host in set(hosts) - set(failed):
            self.moved(verb, host)
        code = 0 if not failed else 2 if len(failed) < len(hosts) else 9
        return code, envelope(code, failed)

    def moved(self, verb: Verb, host: str) -> None:
        """Bring one host to where a run brings it; once more is the same."""
        if verb == "add-node":
            self.working.add(host)
            self.nodes.setdefault(host, {})
        else:
            self.working.discard(host)
            self.nodes.pop(host, None)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def envelope(
    code: int, failed: dict[str, str] | None = None, *, kind: str = "step", message: str = ""
) -> dict[str, Any]:
    error = {"error": {"kind": kind, "message": message, "hint": ""}} if code else {}
    return {"schema": "scaler/v1", "exit_code": code, "data": {"failed": failed or {}}, **error}


class FakeChildren:
    """Runs that a test lets end: each of ``started`` waits for ``go``, then the fleet does what was asked for."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.started: list[list[str]] = []
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.stopped = threading.Event()

    def start(self, argv: Sequence[str]) -> Child:
        self.started.append(list(argv))
        self.begun.release()
        return FakeChild(self, list(argv))

    def hosts(self, run: int) -> list[str]:
        argv = self.started[run]
        return argv[1 : next(at for at, word in enumerate(argv) if word.startswith("--"))]


class FakeChild:
    def __init__(self, children: FakeChildren, argv: list[str]) -> None:
        self._children = children
        self._argv = argv

    def wait(self) -> tuple[int, dict[str, Any]]:
        self._children.go.acquire()
        if self._children.stopped.is_set():
            return 10, envelope(10, kind="aborted", message="interrupted")
        verb: Verb = "add-node" if self._argv[0] == "add-node" else "remove-node"
        at = next(at for at, word in enumerate(self._argv) if word.startswith("--"))
        return self._children.fleet.run(verb, self._argv[1:at])

    def stop(self) -> None:
        self._children.stopped.set()
        self._children.go.release()
