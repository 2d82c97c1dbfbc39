"""What is compared, each as a function of the hosts: raw ssh as the floor, the plain playbook, and scaler itself."""

from __future__ import annotations

import json
import os
import secrets
import string
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ruamel.yaml import YAML

from benchmarks.bed import scaler
from scaler import assets
from scaler.engine.journal import state_dir
from scaler.gateways.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bed import Bed
    from scaler.lab.host import Host

_PLAIN = Path(__file__).with_name("plain")
_TARGET = "/var/lib/floor"
_LETTERS = string.ascii_lowercase + string.digits


class Sample(NamedTuple):
    """One measurement: seconds in all, seconds without the join, bytes sent, and the load average as it began."""

    seconds: float
    before_join: float
    payload: int
    load: float


class Assets(NamedTuple):
    """What a cluster that stands has at hand: a worker's files in one archive, and kube-proxy's kubeconfig."""

    bundle: Path
    proxy: Path


def collect(bed: Bed, directory: Path) -> Assets:
    """Add a worker once, which also fills scaler's cache, and take from it the very files that a worker gets."""
    host = bed.workers[0]
    bed.standby(bed.workers)
    with_scaler(bed, [host])
    line = "import json; print('\\n'.join(json.load(open('/var/lib/scaler/worker.json'))['files']))"
    names = host.exec(["python3", "-c", line]).out.split()
    there = [name for name in names if host.exec(["test", "-e", name], check=False).status == 0]
    bundle, proxy = directory / "bundle.tar.gz", directory / "kube-proxy.kubeconfig"
    for target, argv in (
        (bundle, ["tar", "czf", "-", "-C", "/", *(name.removeprefix("/") for name in there)]),
        (proxy, ["cat", "/etc/kubernetes/kube-proxy.kubeconfig"]),
    ):
        with target.open("wb") as file:
            subprocess.run([*bed.ssh(host), *argv], stdout=file, check=True)
    return Assets(bundle, proxy)


def floor(bed: Bed, hosts: Sequence[Host], bundle: Path) -> Sample:
    """Unpack the worker's files by one ssh a host, all at once."""
    for host in hosts:
        host.exec(["mkdir", "-p", _TARGET])
    load, began = os.getloadavg()[0], time.monotonic()
    running = []
    for host in hosts:
        with bundle.open("rb") as file:
            running.append(subprocess.Popen([*bed.ssh(host), "tar", "xzf", "-", "-C", _TARGET], stdin=file))
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise SystemExit("ssh and tar did not succeed")
    seconds = time.monotonic() - began
    for host in hosts:
        host.exec(["rm", "-rf", _TARGET])
    os.sync()
    return Sample(seconds, seconds, bundle.stat().st_size * len(hosts), load)


def with_scaler(bed: Bed, hosts: Sequence[Host]) -> Sample:
    """Add ``hosts`` by scaler, a process of its own."""
    load, began = os.getloadavg()[0], time.monotonic()
    data = scaler("add-node", *(host.name for host in hosts), "--cluster", str(bed.lab.inventory), "--yes")
    seconds = time.monotonic() - began
    join = _proven(bed, data["run"]) - max(_first_start(host) for host in hosts) if data["run"] else 0.0
    return Sample(seconds, seconds - join, data["measures"].get("payload_bytes", 0), load)


def _proven(bed: Bed, run_id: str) -> float:
    """Return when the run had proven its workers, by its journal."""
    journal = state_dir() / bed.cluster.name / "runs" / f"{run_id}.jsonl"
    events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    done = next(e for e in events if (e["kind"], e.get("step")) == ("step-done", "join_verified"))
    return datetime.fromisoformat(done["at"]).timestamp()


def _first_start(host: Host) -> float:
    """Return when the kubelet of ``host`` first started, by the clock that this machine and its hosts share."""
    argv = ["journalctl", "-u", "kubelet.service", "_PID=1", "-o", "json", "--output-fields=MESSAGE", "--no-pager"]
    told = [json.loads(line) for line in host.exec(argv).out.splitlines()]
    return next(int(t["__REALTIME_TIMESTAMP"]) for t in told if t["MESSAGE"].startswith("Started ")) / 1e6


def plain(bed: Bed, hosts: Sequence[Host], proxy: Path) -> Sample:
    """Add ``hosts`` by the plain playbook; its join is what comes after the last kubelet's start."""
    with tempfile.TemporaryDirectory(prefix="scaler-bench-") as name:
        work = Path(name)
        inventory = work / "inventory.yml"
        with inventory.open("w", encoding="utf-8") as file:
            YAML().dump(_inventory(bed, hosts, work, proxy), file)
        env = {
            "ANSIBLE_CONFIG": str(_PLAIN / "ansible.cfg"),
            "ANSIBLE_SSH_ARGS": f"-o UserKnownHostsFile={bed.lab.known_hosts} -o StrictHostKeyChecking=yes "
            "-o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(work / "cp"),
            "ANSIBLE_NOCOLOR": "1",
        }
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), "add_node.yml"]
        load, began = os.getloadavg()[0], time.monotonic()
        done = run(argv, timeout=1800, check=False, env=env, cwd=_PLAIN)
        seconds = time.monotonic() - began
    if done.status != 0:
        raise SystemExit(f"the plain playbook failed:\n{done.out[-4000:]}{done.err}")
    started = max(_kubelet_started(host) for host in hosts)
    return Sample(seconds, started - began, 0, load)


def _kubelet_started(host: Host) -> float:
    """Return when the kubelet of ``host`` started, by the clock that this machine and its hosts share."""
    argv = ["systemctl", "show", "--value", "--property=ExecMainStartTimestampMonotonic", "kubelet.service"]
    return int(host.exec(argv).out) / 1e6


def _inventory(bed: Bed, hosts: Sequence[Host], work: Path, proxy: Path) -> dict[str, Any]:
    settings = bed.cluster.settings
    # A Go template's braces would be taken for Jinja's.
    pending = '{% raw %}{{range .items}}{{if not .status}}{{.metadata.name}}{{"\\n"}}{{end}}{{end}}{% endraw %}'
    variables = {
        **settings.model_dump(mode="json", include=_SETTINGS),
        **bed.cluster.masters[0].variables,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(bed.lab.client_key),
        "templates": str(assets.TEMPLATES),
        "store": str(bed.store),
        "kubectl": str(bed.kubectl),
        "kube_proxy_kubeconfig": str(proxy),
        "work": str(work),
        "images_dir": "/var/lib/images",
        "token_id": _random(6),
        "token_secret": _random(16),
        "pending_requests": pending,
        "node_name": "{{ inventory_hostname }}",
        "host_sysctls": [],
        "kube_proxy_mode": "iptables",
        "pod_routes_python": "/usr/bin/python3",
    }
    members = {host.name: {"ansible_host": str(host.address)} for host in hosts}
    local = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
    return {"all": {"hosts": local, "children": {"kube_node": {"hosts": members, "vars": variables}}}}


_SETTINGS = {
    *("cluster_name", "kubernetes_version", "api_endpoint", "pod_cidr", "cluster_dns", "cgroup_driver", "pause_image"),
    *("images", "bin_dir", "pki_dir", "admin_kubeconfig"),
}


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
