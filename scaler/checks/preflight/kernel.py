"""The kernel has what containers and Services need, and lets it be switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks.preflight import Check, Subject, Told
from scaler.model import version_facts, versions
from scaler.model.versions import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSCTLS = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables")
# Without one of these the kubelet stops at once ("cgroups not enabled").
CONTROLLERS = {1: {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer"}, 2: {"cpu", "cpuset", "memory", "pids"}}

_BOOT = "boot it with systemd.unified_cgroup_hierarchy=1"


def _look(subject: Subject) -> Iterator[Told]:
    facts = subject.facts
    yield from _old(subject)
    lacking = CONTROLLERS[facts.cgroup] - set(facts.controllers)
    if lacking:
        yield Told(f"the kernel lacks cgroup controllers: {', '.join(sorted(lacking))}", "switch them on at boot")
    if "overlay" not in facts.filesystems:
        yield Told("the overlay file system is not available", "modprobe overlay")
    for name in SYSCTLS:
        if facts.sysctls.get(name) == "absent":
            module = " (modprobe br_netfilter)" if "bridge" in name else ""
            yield Told(f"sysctl {name} is not there{module}", "load the module, and at boot by /etc/modules-load.d")
        if facts.sysctls.get(name) == "read-only":
            yield Told(f"sysctl {name} cannot be written", "make /proc/sys writable, or use a whole machine")
    if not facts.resolv_conf:
        yield Told("/etc/resolv.conf is missing; pods could not start", "create it")


def _old(subject: Subject) -> Iterator[Told]:
    """Judge the cgroups and the kernel by what the version makes of old ones."""
    facts, version, table = subject.facts, subject.cluster.settings.kubernetes_version, version_facts.facts()
    if facts.cgroup == 1 and versions.refuses_cgroup_v1(version):
        yield Told(f"has cgroup v1, which a kubelet {version} refuses", _BOOT)
    elif facts.cgroup == 1 and reached(version, table.cgroup_v1["maintenance"]):
        refused = table.cgroup_v1["refused"]
        yield Told(f"has cgroup v1, which kubelets refuse from {refused} on", _BOOT, warning=True)
    for row in table.kernels:
        # What a mode of kube-proxy asks for is judged with that mode.
        fits = row.cgroup in {None, facts.cgroup} and not row.mode and reached(version, row.since)
        if fits and versions.parts(facts.kernel) and versions.parts(facts.kernel) < versions.parts(row.below):
            remedy = f"use kernel {row.below} or newer"
            yield Told(f"has kernel {facts.kernel}: {row.why}", remedy, warning=row.effect != "fatal")


CHECK = Check("kernel", _look, of_nodes=True)
