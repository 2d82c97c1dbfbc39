"""Add the host to etcd as a learner, which counts for nothing: writes go on whether it starts or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import GuardError, ScalerError, StepError
from scaler.gateways.clock import wait_until
from scaler.plan.membership import initial_cluster
from scaler.steps.first_start import limited
from scaler.steps.voters import peer_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.etcd import Member
    from scaler.model.inventory import Host, Settings
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

# etcd refuses a change for 5 s after a member was restarted; every refusal is looked at, none is gone past.
PATIENCE_SECONDS = 20.0
REMOVE_SECONDS = 30.0


class LearnerAdded:
    """The member list has exactly one learner, with the host's own peer URL, and its ID is in the journal."""

    title = "Add it to etcd as a learner"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return ["member add --learner, its ID into the journal; what it starts with is taken from the answer"]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Add it, unless a run of scaler did; after any error the list is asked, never the memory."""
        for host in hosts:
            url = peer_url(host)
            member = _found(world, url)
            if member is None:
                world.note({"intent": "member add --learner", "peer_url": url})
                world.asked_for.add(url)
                member = _added(world, url)
            elif member.learner and member.id not in world.own_members:
                raise GuardError(f"{host.name}: a learner that no run of scaler added has its peer URL {url}")
            world.asked_for.add(url)
            world.own_members.add(member.id)
            world.note({"member": member.hex, "peer_url": url})
            world.initial_cluster[host.name] = initial_cluster(world.etcd.members(), host.name, url)
        return {}

    def undo(self, world: World, host: Host) -> None:
        """Stop etcd on the host, reached or not, and take the learner out of the list; a voter is left alone."""
        url = peer_url(host)
        if url not in world.asked_for:
            return
        _must_not_vote(_found(world, url))
        try:
            world.ssh.run(host, ["systemctl", "disable", "--now", "etcd.service"], timeout=120)
            limited(world, host)
        except ScalerError as e:
            world.say(f"{host.name} is not reached ({e.message}); its learner is removed all the same")
        _removed(world, url)


def _must_not_vote(member: Member | None) -> None:
    if member and not member.learner:
        raise StepError(f"{member.called} votes; nothing of etcd is taken back")


def _removed(world: World, url: str) -> None:
    """Take our learner with ``url`` out of the list, asking the list after every try."""
    last = ""

    def gone() -> bool:
        nonlocal last
        try:
            member = _found(world, url)
            if member is None:
                return True
            if member.learner:
                world.note({"intent": "member remove", "removed": member.hex})
                world.etcd.remove(member)
                return False
        except ScalerError as e:
            last = e.message
            return False
        _must_not_vote(member)
        return False

    if not wait_until(world.clock, gone, timeout=REMOVE_SECONDS, every=1.0):
        raise StepError(f"the learner at {url} is still in etcd's list: {last}; etcdctl member remove takes it out")


def _found(world: World, url: str) -> Member | None:
    return next((m for m in world.etcd.members() if url in m.peer_urls), None)


def _added(world: World, url: str) -> Member:
    last = ""

    def added() -> bool:
        nonlocal last
        try:
            world.etcd.add_learner(url)
        except ScalerError as e:
            last = e.message
        try:
            return _found(world, url) is not None
        except ScalerError as e:
            last = e.message
            return False

    if not wait_until(world.clock, added, timeout=PATIENCE_SECONDS, every=1.0):
        raise StepError(f"etcd does not take the learner: {last}")
    member = _found(world, url)
    if member is None or not member.learner:
        raise StepError(f"etcd's list has no learner at {url} though it was added: {last}")
    return member


STEP = LearnerAdded()
