"""The hosts that are measured on: a lab with one master, whose workers go back to standby after each run."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from scaler import assets
from scaler.app.session import read_cluster
from scaler.errors import LabError
from scaler.gateways.kube import Kubectl
from scaler.gateways.process import run
from scaler.gateways.store import Binary, cache_dir
from scaler.lab import lab
from scaler.lab.layout import Lab
from scaler.lab.network import SUBNETS, machine_networks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from ipaddress import IPv4Network

    from scaler.lab.host import Host

_QUIET_SECONDS = 60.0
_MARK = "scaler benchmark: other hosts"


class Bed:
    """A lab's workers, all on standby, beside a master that runs."""

    def __init__(self, name: str, workers: int) -> None:
        self.lab = Lab(name)
        self.made = not self.lab.record.exists()
        scaler("lab", "up", "--name", name, "--workers", str(workers))
        if not (self.lab.inventory / "admin.kubeconfig").exists():
            scaler("init", "--cluster", str(self.lab.inventory), "--yes")
        self.workers: tuple[Host, ...] = tuple(h for h in lab.find_hosts(name) if h.name.startswith("n"))[:workers]
        self.cluster = read_cluster(str(self.lab.inventory))
        settings = self.cluster.settings
        self.store = Path(settings.binaries)
        self.kubectl = self.store / Binary("kubernetes", settings.kubernetes_version, "amd64", "kubectl").path
        self.kube = Kubectl(self.kubectl, settings.admin_kubeconfig, cache_dir() / "kubectl" / name)
        self._standby = self._all_on_standby()

    def _all_on_standby(self) -> bytes:
        """Return the inventory's file as it was before any worker was added."""
        tree = YAML().load(self.cluster.hosts_file.read_bytes())
        children = tree["all"]["children"]
        children["standby"]["hosts"] = {host.name: {"ansible_host": str(host.address)} for host in self.workers}
        children["workers"]["hosts"] = {}
        text = io.BytesIO()
        YAML().dump(tree, text)
        return text.getvalue()

    def ssh(self, host: Host) -> list[str]:
        """Return the argv of a plain ssh to ``host``, without its command."""
        options = {
            "UserKnownHostsFile": self.lab.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ControlPath": "none",
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return ["ssh", "-F", "/dev/null", "-i", str(self.lab.client_key), *given, f"root@{host.address}"]

    def standby(self, hosts: Sequence[Host]) -> None:
        """Give ``hosts`` back: freshly installed, unknown to the cluster, on standby in the inventory."""
        self.kube.delete("nodes", [host.name for host in hosts], wait=True)
        with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
            list(pool.map(_reinstall, hosts))
        self.cluster.hosts_file.write_bytes(self._standby)
        # What the last run's proof made ends on its own; the next run must not pay for it.
        deadline = time.monotonic() + _QUIET_SECONDS
        while time.monotonic() < deadline and self._proofs():
            time.sleep(0.5)
        os.sync()

    def _proofs(self) -> bool:
        return any(space["metadata"]["name"].startswith("scaler-verify-") for space in self.kube.get("namespaces"))

    def with_others(self, count: int) -> None:
        """Put ``count`` hosts that nobody will ever meet among the inventory's workers."""
        yaml = YAML()
        tree = yaml.load(self._standby)
        addresses = [str(address) for address in list(others().hosts())[:count]]
        tree["all"]["children"]["workers"] = {
            "hosts": {f"other-{number}": {"ansible_host": address} for number, address in enumerate(addresses, 1)}
        }
        with self.cluster.hosts_file.open("wb") as file:
            yaml.dump(tree, file)

    def close(self, *, keep: bool) -> None:
        """Take the lab down, if it was made for this; otherwise leave its workers on standby."""
        if self.made and not keep:
            lab.down(self.lab.name)
        else:
            self.standby(self.workers)


def scaler(*argv: str) -> dict[str, Any]:
    """Run scaler as its user does, from this checkout; return the data of its JSON envelope."""
    program = str(Path(sys.executable).with_name("scaler"))
    root = str(assets.PLAYBOOKS.parent)
    done = run([program, *argv, "--output", "json"], timeout=1800, check=False, env={"PYTHONPATH": root})
    if done.status != 0:
        raise SystemExit(f"scaler {' '.join(argv)} ended with status {done.status}: {done.out}{done.err}")
    data: dict[str, Any] = json.loads(done.out)["data"]
    return data


def others() -> IPv4Network:
    """Return the end of the labs' own range, which no lab has: it has room for a thousand addresses."""
    network = list(SUBNETS.subnets(new_prefix=22))[-1]
    if any(network.overlaps(taken) for taken in machine_networks() if taken.prefixlen):
        raise SystemExit(f"{network} is in use on this machine")
    return network


@contextmanager
def fence() -> Iterator[None]:
    """Let nothing out to the other hosts, and count what tries."""
    rule = ["OUTPUT", "-d", str(others()), "-m", "comment", "--comment", _MARK, "-j", "REJECT"]
    run(["iptables", "-w", "-I", *rule])
    try:
        yield
    finally:
        run(["iptables", "-w", "-D", *rule])


def packets_to_others() -> int:
    """Return how many packets this machine tried to send to the other hosts since the fence stands."""
    lines = run(["iptables-save", "-c", "-t", "filter"]).out.splitlines()
    line = next(line for line in lines if _MARK in line)
    return int(line.removeprefix("[").partition(":")[0])


def _reinstall(host: Host) -> None:
    try:
        host.reset()
    except LabError:
        # A disk may be busy for some seconds on a loaded machine; that must not cost the rounds already measured.
        host.reset()
    host.power_on()
    host.exec(["systemctl", "is-system-running", "--wait"], check=False)
