"""Look at the new hosts, all at once, and judge what was seen; nothing is changed."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import ValidationError

from scaler.app.networks import Looked
from scaler.checks import preflight
from scaler.checks.preflight import Finding, Subject, disk, kernel
from scaler.errors import PreflightError, ScalerError
from scaler.gateways.ssh import on_each
from scaler.model.facts import HostFacts
from scaler.model.network import MODULES, PROGRAMS, UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.session import Session
    from scaler.model.inventory import Host
    from scaler.model.state import ClusterState

CA_FILE = "/etc/kubernetes/pki/ca.crt"
LEFTOVERS = (
    "/var/lib/kubelet/pki",
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes",
    "/etc/cni/net.d",
    "/etc/systemd/system/kubelet.service",
    "/etc/systemd/system/kube-proxy.service",
)
# What is no finding about a host that runs the cluster's parts already.
RUNNING = frozenset({"leftovers", "ports", "routes", "network", "proxy"})
# Data of an earlier life poisons a new member (reliability.md R0.6); on a worker nobody would look at it.
MEMBER_LEFTOVERS = (
    "/var/lib/etcd",
    "/var/lib/etcd/data",
    "/etc/etcd",
    "/etc/systemd/system/etcd.service",
    "/etc/systemd/system/kube-apiserver.service",
)


class _Probed(NamedTuple):
    facts: HostFacts
    clock: tuple[float, float]


def look(
    session: Session,
    hosts: Sequence[Host],
    state: ClusterState,
    *,
    ca: bytes,
    endpoints: Sequence[str],
    becomes: Literal["workers", "masters", "etcd"] = "workers",
    living: Callable[[], Looked] = Looked,
) -> list[Finding]:
    """Probe ``hosts`` and return every finding about every one of them, for what they become.

    ``living`` tells how the cluster's network and Services are carried; it is asked once the hosts have been probed.
    """
    asked = {
        "spaces": [session.cluster.settings.bin_dir, *(p for p in disk.NEEDED if p != "/usr/local/bin")],
        "leftovers": LEFTOVERS if becomes == "workers" else (*LEFTOVERS, *MEMBER_LEFTOVERS),
        "sysctls": kernel.SYSCTLS,
        "endpoints": endpoints,
        "ca_file": CA_FILE,
        "ca": base64.b64encode(ca).decode(),
        "modules": MODULES,
        "programs": PROGRAMS,
        "units": UNITS,
    }
    told = on_each(hosts, lambda host: _probe(session, host, json.dumps(asked)))
    findings, probed = [], {}
    for host in hosts:
        result = told[host.name]
        if isinstance(result, ScalerError):
            findings.append(Finding(check=result.kind, host=host.name, message=result.message, remedy=result.hint))
        else:
            probed[host.name] = result
    seen = living()
    for host in hosts:
        if host.name in probed:
            others = tuple((o, probed[o.name].facts) for o in hosts if o.name in probed and o.name != host.name)
            facts, clock = probed[host.name]
            digest = hashlib.sha256(ca).hexdigest()
            about = (session.cluster, state, others, digest, becomes, seen.network, seen.proxy)
            findings += preflight.examine(Subject(host, facts, clock, *about))
    return findings


def _probe(session: Session, host: Host, asked: str) -> _Probed:
    from importlib.resources import files  # noqa: PLC0415 - only a real probe needs it

    script = files("scaler.checks").joinpath("probe_script.py").read_text(encoding="utf-8")
    session.ssh.run(host, ["true"])
    before = time.time()
    said = session.ssh.run(host, [host.connection.python, "-", asked], stdin=script, timeout=60)
    after = time.time()
    if said.status != 0:
        why = (said.err.strip().splitlines() or ["no output"])[-1]
        raise PreflightError(
            f"{host.name}: the probe did not run with {host.connection.python}: {why}",
            hint="install Python 3.8 or newer there, or set ansible_python_interpreter",
        )
    try:
        facts = HostFacts.model_validate_json(said.out)
    except ValidationError as e:
        raise PreflightError(
            f"{host.name}: the probe answered nonsense: {e.errors(include_url=False)[0]['msg']}"
        ) from e
    return _Probed(facts, facts.clock_offset(before, after))
