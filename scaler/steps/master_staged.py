"""Stage everything on a new master, or a new etcd host, and start nothing; then prove the very certificates."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError
from scaler.gateways import https
from scaler.gateways.clock import wait_until
from scaler.gateways.etcd import PKI
from scaler.gateways.ssh import on_each
from scaler.gateways.threads import Threads
from scaler.pki import names
from scaler.steps import master_credentials
from scaler.steps.base import etcd_binaries, master_binaries
from scaler.steps.placing import ETCD, place, taken_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

LISTEN_SECONDS = 20.0
# etcd answers it whatever follows the question mark; its own members never ask it so.
_REACH = "/version?scaler"
APISERVER_CERTIFICATE = "/etc/kubernetes/pki/apiserver.crt"
_AS_PEER = {"ca_file": f"{PKI}/ca.crt", "certificate": f"{PKI}/peer.crt", "key": f"{PKI}/peer.key"}
_AS_API_SERVER = {
    "ca_file": "/etc/kubernetes/pki/etcd-ca.crt",
    "certificate": "/etc/kubernetes/pki/etcd-client.crt",
    "key": "/etc/kubernetes/pki/etcd-client.key",
}


class MasterStaged:
    """Files and units are on the host, nothing runs; its certificates carry every name and open every member."""

    title = "Stage everything, start nothing"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        files = etcd_binaries(settings) if plan.makes == "etcd" else master_binaries(settings)
        return [
            f"write {', '.join(f'{b.name} {b.version}' for b in files)}, certificates of its own, configuration, units",
            "read its certificates there: every name and address it will be called by",
            "make TLS handshakes both ways between it and each member, on 2379 and 2380, with those certificates",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Place, read the certificates, shake hands."""
        failures: Failures = {}
        for host in hosts:
            try:
                place(world, host, [])
                _carries_its_names(world, host)
                _opens_members(world, host)
                _is_opened_by_members(world, host)
            except ScalerError as e:
                failures[host.name] = f"{e.message} ({e.hint})" if e.hint else e.message
        return failures

    def undo(self, world: World, host: Host) -> None:
        """Stop its units and give the host back as it was."""
        taken_back(world, host)


def _carries_its_names(world: World, host: Host) -> None:
    wanted = {
        path: subject
        for path, subject in master_credentials.serving_subjects(world.cluster, host).items()
        if _is_placed(world, path)
    }
    for path, subject in wanted.items():
        said = world.ssh.run(host, ["cat", path])
        if said.status != 0:
            raise StepError(f"{host.name}: {path} cannot be read: {said.err.strip()}")
        missing = names.missing(said.out.encode(), (*subject.dns, *subject.addresses))
        if missing:
            raise StepError(
                f"{host.name}: {path} does not carry {', '.join(missing)}",
                hint="issue it with these names, or let scaler issue it",
            )


def _is_placed(world: World, path: str) -> bool:
    if path == APISERVER_CERTIFICATE:
        return world.plan.makes == "masters"
    return world.plan.makes == "etcd" or world.own_etcd


def _opens_members(world: World, host: Host) -> None:
    """Ask every member's client and peer port with the certificates that the host will use there."""
    asks: list[https.Ask] = []
    for each in world.cluster.etcd:
        if each.name == host.name:
            continue
        if world.plan.makes == "etcd" or world.own_etcd:
            asks.append(https.Ask(address=each.address, port=2380, path="/members", **_AS_PEER))
        if world.plan.makes == "masters":
            asks.append(https.Ask(address=each.address, port=2379, path="/health", **_AS_API_SERVER))
    for ask, answer in zip(asks, https.ask(world.ssh, host, asks), strict=True):
        if answer.error:
            raise StepError(
                f"{host.name} cannot talk to etcd at {ask.address}:{ask.port}: {answer.error}",
                hint="check firewalls between the two, and that both have certificates of the same authority",
            )


def _is_opened_by_members(world: World, host: Host) -> None:
    """Answer in etcd's place on the new host and let every member's host ask, so that a one-way firewall shows."""
    if not (world.plan.makes == "etcd" or world.own_etcd):
        return
    others = [each for each in world.cluster.etcd if each.name != host.name]
    with Threads(1) as pool:
        # A learner that an earlier run started answers there itself, at its clients' port once it has caught up.
        state = world.ssh.run(host, ["systemctl", "show", "--property=SubState", "--value", ETCD]).out.strip()
        runs = state in {"running", "start"}
        ports = (2380,) if runs else (2379, 2380)
        clients, seconds = len(others), LISTEN_SECONDS
        listen = partial(https.listen, world.ssh, host, ports, pki=PKI, path=_REACH)
        heard = None if runs else pool.submit(listen, clients=clients, seconds=seconds)
        told = on_each(others, lambda other: _reaches(world, other, host, ports))
        if heard:
            heard.result()
    for name, why in told.items():
        if why:
            said = why.message if isinstance(why, ScalerError) else why
            raise StepError(
                f"{name} does not reach etcd's ports of {host.name}: {said}",
                hint=f"check firewalls from {name} to {host.address}, ports 2379 and 2380",
            )


def _reaches(world: World, other: Host, host: Host, ports: Sequence[int]) -> str:
    """Let ``other`` ask each port until it answers; return the last reason where one does not."""
    for port in ports:
        ask = https.Ask(address=host.address, port=port, path=_REACH, **_AS_PEER)
        why = ""

        def answers(ask: https.Ask = ask) -> bool:
            nonlocal why
            why = https.ask(world.ssh, other, [ask], seconds=3)[0].error
            return not why

        if not wait_until(world.clock, answers, timeout=LISTEN_SECONDS / 2, every=0.5):
            return f"port {port}: {why}"
    return ""


STEP = MasterStaged()
