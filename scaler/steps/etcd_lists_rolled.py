"""Tell the API servers that stay the members of etcd, one by one: out of the balancers, restarted, ready, back in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks import masters
from scaler.errors import ScalerError, StepError
from scaler.steps.api_servers import is_ready, must_be_ready
from scaler.steps.balancing import forget_gone, must_answer, must_serve, set_aside, take_back, taken_back_if_ready
from scaler.steps.base import played
from scaler.steps.placing import APISERVER
from scaler.steps.voters import client_urls, peer_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

PLAYBOOK = "apiserver_lists.yml"


class EtcdListsRolled:
    """Every API server knows every voter, its own first."""

    title = "Roll the API servers' etcd lists"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["each master that stays and has another list: out of the load balancers, restarted, ready, back in"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Go through the masters whose running API server has another list."""
        leaving = world.plan.leaving(hosts)
        forget_gone(world, leaving)
        taken_back_if_ready(world, leaving)
        going = {peer_url(host) for host in leaving}
        members = [m for m in world.etcd.members() if not going & set(m.peer_urls)]
        for master in [each for each in world.masters if each.name not in {host.name for host in leaving}]:
            urls = client_urls(members, master)
            if masters.look(world.ssh, master).etcd_servers == tuple(urls):
                continue
            world.say(f"{master.name}: knows {len(urls)} members of etcd after this restart")
            _roll(world, master, urls)
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Leave the lists, which are a part of the truth; raises where a master that was set aside is not ready."""
        taken_back_if_ready(world, [host])
        for master in world.masters:
            if master.name != host.name and not is_ready(world, master):
                raise StepError(f"{master.name} is not ready: the load balancers may send nothing to it until it is")


def _roll(world: World, master: Host, urls: list[str]) -> None:
    aside = set_aside(world, master)
    if not aside:
        # Nobody would answer in its place: restarted it would be an outage. What it knows is a part of the truth.
        known = masters.look(world.ssh, master).etcd_servers
        if not set(known) & set(urls):
            raise StepError(
                f"{master.name}: its API server, which cannot be restarted unseen, knows no member that stays",
                hint=f"restart it by hand first, which is an outage: systemctl restart {APISERVER}",
            )
        _place(world, master, urls, run=[])
        world.later[master.name] = (
            "its API server is not restarted, since no load balancer can send to another one meanwhile; it knows the "
            f"members of etcd after: systemctl restart {APISERVER}"
        )
        return
    try:
        must_answer(world)
    except ScalerError:
        take_back(world, aside, master)
        raise
    try:
        _place(world, master, urls, run=[APISERVER])
        must_be_ready(world, master)
    except ScalerError as e:
        still = ", ".join(balancer.name for balancer in aside)
        raise StepError(
            f"{master.name}: {e.message}\n{still} send nothing to it until this command is run again", hint=e.hint
        ) from e
    take_back(world, aside, master)
    for balancer in aside:
        must_serve(world, balancer, world.masters)


def _place(world: World, master: Host, urls: list[str], *, run: list[str]) -> None:
    variables = {"node_name": master.name, "node_ip": master.address, "scaler_run": run}
    own = {master.name: {**variables, "kube_apiserver_etcd_servers": urls}}
    failure = played(world, PLAYBOOK, "masters", [master], own).get(master.name)
    if failure:
        raise StepError(failure)


STEP = EtcdListsRolled()
