"""Start the new API server against the members of etcd that vote already, and try it before anything else changes.

It stands behind no load balancer yet and the member of etcd on its host does not vote yet, so that whatever is wrong
with it is found while everything can still be taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks import masters
from scaler.drivers import lb
from scaler.errors import ScalerError, StepError
from scaler.gateways import https
from scaler.steps import master_credentials
from scaler.steps.api_servers import direct, must_be_ready
from scaler.steps.balancing import ca_of, living
from scaler.steps.placing import APISERVER, other_members, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

NAMESPACE = "kube-system"


class ApiserverRehearsed:
    """It is ready, runs as the others do, answers under every name, is reached by all, and reads and writes."""

    title = "Rehearse the API server"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "start it against the members that vote now, in no load balancer; /readyz three times",
            "compare keys, CAs, encryption and flags with the masters that live",
            "TLS under every name, from it, from each master and load balancer; write, read elsewhere, delete",
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Start it and try it."""
        for host in hosts:
            place(world, host, [APISERVER], etcd_servers=other_members(world, host))
            must_be_ready(world, host)
            _runs_as_the_others(world, host)
            _answers_under_every_name(world, host)
            _is_reached(world, host)
            _writes(world, host)
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Stop it by SIGTERM, so that it takes its address out of the Service ``kubernetes`` itself."""
        said = world.ssh.run(host, ["systemctl", "disable", "--now", APISERVER], timeout=120)
        if said.status != 0:
            raise StepError(f"{host.name}: its API server does not stop: {said.err.strip()}")


def _runs_as_the_others(world: World, host: Host) -> None:
    mine = masters.look(world.ssh, host)
    for other in world.masters:
        if other.name == host.name:
            continue
        told = list(masters.differences(mine, masters.look(world.ssh, other)))
        if told:
            raise StepError(
                f"{host.name} would not run as {other.name} does: {'; '.join(told)}",
                hint="make the inventory say what the living masters do, or change those first",
            )


def _answers_under_every_name(world: World, host: Host) -> None:
    subject, ca = master_credentials.apiserver_subject(world.cluster, host), ca_of(world)
    names = [*subject.dns, *subject.addresses]
    asks = [https.Ask(address=host.address, port=lb.API_SERVER_PORT, name=name, ca=ca) for name in names]
    for name, answer in zip(names, https.ask(world.ssh, host, asks), strict=True):
        if answer.error:
            raise StepError(f"{host.name}: its API server does not answer as {name}: {answer.error}")


def _is_reached(world: World, host: Host) -> None:
    """Ask from each living master and each balancer's own host; workers are not waited for."""
    driver = lb.of(world.cluster.settings.loadbalancer)
    fronts = [] if driver.everywhere else [b.host for b in living(world) if b.host]
    everyone = {each.name: each for each in (*world.masters, *fronts) if each.name != host.name}
    ask = https.Ask(address=host.address, port=lb.API_SERVER_PORT, ca=ca_of(world))
    for other in everyone.values():
        answer = https.ask(world.ssh, other, [ask])[0]
        if answer.error:
            raise StepError(
                f"{other.name} does not reach the API server of {host.name}: {answer.error}",
                hint=f"check firewalls for {host.address}:{lb.API_SERVER_PORT}",
            )


def _writes(world: World, host: Host) -> None:
    """Write through it, read through the load balancer, and delete."""
    name = f"scaler-write-{world.run}-{host.name}"
    own = direct(world, host)
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}}
    try:
        own.create([made])
        if not world.kube.get("configmaps", [name], namespace=NAMESPACE):
            raise StepError(f"what was written through {host.name} is not there elsewhere")
        own.delete("configmaps", [name], namespace=NAMESPACE)
    except ScalerError as e:
        raise StepError(f"{host.name}: its API server does not read and write: {e.message}") from e


STEP = ApiserverRehearsed()
