"""A cluster whose control plane grows and is brought back to one master, by hand and not by scaler."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaler.lab.tools import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

ETCDCTL = [
    "env",
    "ETCDCTL_API=3",
    "/usr/local/bin/etcdctl",
    "--cacert=/etc/etcd/pki/ca.crt",
    "--cert=/etc/etcd/pki/server.crt",
    "--key=/etc/etcd/pki/server.key",
    "--endpoints=https://127.0.0.1:2379",
]
# What changes on the hosts that stay when a master is added.
CHANGING = {
    "m1": ("/etc/kubernetes/kube-apiserver.env",),
    "lb": ("/etc/haproxy/haproxy.cfg", "/etc/nginx/nginx.conf"),
}


def etcdctl(cluster: Cluster, *argv: str, on: str = "m1", check: bool = True) -> Any:
    """Run etcdctl on a member's host; return its JSON."""
    done = cluster.hosts[on].exec([*ETCDCTL, *argv, "-w", "json"], check=check)
    return json.loads(done.out) if done.out.strip() else {}


def members(cluster: Cluster, *, on: str = "m1") -> dict[str, dict[str, Any]]:
    """Return the members of etcd by name, those without one by their peer URL."""
    return {m.get("name") or m["peerURLs"][0]: m for m in etcdctl(cluster, "member", "list", on=on)["members"]}


def voters(cluster: Cluster, *, on: str = "m1") -> set[str]:
    """Return the names of the voters, as the member ``on`` says."""
    return {name for name, member in members(cluster, on=on).items() if not member.get("isLearner")}


def lead(cluster: Cluster, name: str) -> None:
    """Make ``name`` etcd's leader."""
    wanted = members(cluster)[name]["ID"]

    def leads() -> bool:
        now = etcdctl(cluster, "endpoint", "status")[0]["Status"]["leader"]
        on = next(called for called, member in members(cluster).items() if member["ID"] == now)
        if on != name:
            etcdctl(cluster, "move-leader", f"{wanted:x}", on=on, check=False)
        return on == name

    wait_until(leads, f"{name} leads", timeout=30)


def holds_vip(cluster: Cluster, name: str) -> bool:
    """Tell whether the host has the cluster's VIP."""
    (vip,) = re.findall(r"^vip: (\S+)", cluster.variables.read_text(), re.MULTILINE)
    return f" {vip}/" in cluster.hosts[name].exec(["ip", "-o", "address", "show"]).out


class Masters:
    """The one cluster of a test module, with as many masters as a test asks for."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        # Beside the lab, since one that was kept from an earlier run may have more masters by now.
        place = cluster.where.root / "kept.json"
        if not place.exists():
            place.write_text(json.dumps(self._changing()))
        self._kept: dict[str, dict[str, str | None]] = json.loads(place.read_text())
        # Whose member is asked.
        self.on = "m1"

    def _changing(self) -> dict[str, dict[str, str | None]]:
        return {
            host: {path: self._read(host, path) for path in paths}
            for host in self.cluster.hosts
            for prefix, paths in CHANGING.items()
            if host.startswith(prefix)
        }

    def _read(self, host: str, path: str) -> str | None:
        done = self.cluster.hosts[host].exec(["cat", path], check=False)
        return done.out if done.status == 0 else None

    def shrink(self) -> None:
        """Bring the cluster back to m1 and nothing else, whatever state it is in; writes go on meanwhile or not."""
        cluster = self.cluster
        for host in cluster.hosts.values():
            host.power_on()
        cluster.inventory.write_bytes(cluster.baseline)
        for name, member in members(cluster).items():
            if name != "m1":
                self._remove(f"{member['ID']:x}")
        cluster.fresh(*(name for name in cluster.hosts if name.startswith("m") and name != "m1"))
        self._put_back()
        wait_until(self._answers, "the API answers through the load balancer", timeout=60)
        for name in cluster.nodes():
            if name.startswith("m") and name != "m1":
                cluster.kubectl("delete", "node", name)

    def _put_back(self) -> None:
        """Give the hosts that stay the files they had, and have them read."""
        units = {"/etc/kubernetes": "kube-apiserver", "/etc/haproxy": "haproxy", "/etc/nginx": "nginx"}
        for name, files in self._kept.items():
            for path, text in files.items():
                if text is not None and self._read(name, path) != text:
                    self.cluster.hosts[name].exec(["tee", path], stdin=text)
                    unit = units[str(Path(path).parent)]
                    self.cluster.hosts[name].exec(["systemctl", "restart" if "kube" in unit else "reload", unit])

    def _remove(self, member: str) -> None:
        def removed() -> bool:
            etcdctl(self.cluster, "member", "remove", member, check=False)
            return member not in {f"{m['ID']:x}" for m in members(self.cluster).values()}

        wait_until(removed, f"member {member} is gone", timeout=60)

    def _answers(self) -> bool:
        done = self.cluster.scaler("kubectl", "--cluster", self.cluster.where.name, "--", "get", "--raw", "/readyz")
        return done.out.strip() == "ok"

    def at(self, count: int) -> None:
        """Let the cluster have the masters m1 to m<count>, and all else fresh."""
        wanted = {f"m{number}" for number in range(1, count + 1)}
        if not (self._answers() and voters(self.cluster) == wanted == self._listed()):
            if not (self._answers() and voters(self.cluster) == self._listed() < wanted):
                self.shrink()
            missing = sorted(wanted - self._listed())
            if missing:
                code, told = self.cluster.change("add-master", *missing, "--allow-even")
                assert code == 0, told
        self.cluster.fresh(*(name for name in self.cluster.hosts if name.startswith("m") and name not in wanted))

    def _listed(self) -> set[str]:
        text = self.cluster.inventory.read_text()
        part = text.split("masters:")[1].split("etcd:")[0]
        return {word.rstrip(":") for word in part.split() if word.startswith("m") and word.endswith(":")}

    @contextmanager
    def unchanged(self, *, but: tuple[str, ...] = ()) -> Iterator[None]:
        """Hold that what is done inside leaves files, processes, members and inventory as they were."""
        before = self._seen(but)
        yield
        told = differences(before, self._seen(but))
        assert not told, "\n".join(told)

    def _seen(self, but: tuple[str, ...]) -> dict[str, Any]:
        hosts = [name for name, host in self.cluster.hosts.items() if name not in but and host.running]
        with ThreadPoolExecutor() as pool:
            trees, processes = pool.map(self._tree, hosts), pool.map(self.cluster.processes, hosts)
        return {
            "trees": dict(zip(hosts, trees, strict=True)),
            "processes": dict(zip(hosts, processes, strict=True)),
            "members": members(self.cluster, on=self.on),
            "nodes": sorted(self.cluster.nodes()),
            "endpoints": self._endpoints(),
            "inventory": self.cluster.inventory.read_bytes(),
        }

    def _tree(self, host: str) -> dict[str, Any]:
        # shadow-utils keep a copy of the account files beside them.
        return {path: told for path, told in self.cluster.tree(host).items() if not path.endswith("-")}

    def _endpoints(self) -> list[str]:
        told = json.loads(self.cluster.kubectl("get", "endpoints", "kubernetes", "-o", "json"))
        return sorted(a["ip"] for subset in told.get("subsets", ()) for a in subset["addresses"])


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """Name what differs, and where, so that a failed comparison can be read."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{where}/{key}")]
    return [] if before == after else [f"{where}: {before} became {after}"]


def equal(envelope: dict[str, Any]) -> bool:
    """Tell whether the sets that a run compared are one and the same for each kind, and no learner is there."""
    table = envelope["data"]["measures"]["sets"]
    kinds = [{tuple(row["hosts"]) for row in table["rows"] if row["of_etcd"] is of_etcd} for of_etcd in (True, False)]
    return table["learners"] == 0 and all(len(kind) == 1 for kind in kinds)


def heard(process: Any, kind: str, step: str) -> None:
    """Read a run's JSON lines until one of ``kind`` about ``step``."""
    for line in process.stdout:
        event = json.loads(line)
        if event.get("kind") == kind and event.get("step") == step:
            return
    raise AssertionError(f"the run ended before {kind} of {step}")
