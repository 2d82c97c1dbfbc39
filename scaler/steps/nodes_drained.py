"""Move the pods off the nodes by eviction, and wait until they have ended and their volumes are detached.

PodDisruptionBudgets are the API's to hold to: what it refuses is asked again until the time is up. A StatefulSet's pods
go one after the other, the highest number first, and each is waited for on its new node. A dead node's pods are deleted
at once: nobody is there to end them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, StepError, UnreachableError
from scaler.gateways import pods
from scaler.gateways.kube import nodes
from scaler.gateways.threads import Threads
from scaler.plan import pods as fates
from scaler.plan.plan import Drain
from scaler.steps.drain_turns import Turns
from scaler.steps.leaving import another, is_same
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Subject
    from scaler.model.pods import PersistentVolume, Pod
    from scaler.plan.plan import AnyPlan
    from scaler.plan.pods import Leaving
    from scaler.steps.world import AnyWorld, Failures

EVERY = 1.0
_AT_ONCE = 8
_TOO_MANY = "TooManyRequests"


class NodesDrained(Irreversible):
    """No pod is left on the nodes but those that end with them, and no volume is attached."""

    title = "Move the pods off"

    def describe(self, plan: AnyPlan, settings: object) -> Sequence[str]:
        """Tell what becomes of each pod."""
        del settings
        drain = plan.drain or Drain()
        lines = [
            f"evict its pods, budgets respected; wait until they end and their volumes are detached, {drain.timeout} s",
            *fates.told([pod for pod in plan.pods if pod.node not in plan.dead]),
        ]
        for name in plan.dead:
            ended = ", ".join(pod.key for pod in plan.pods if pod.node == name) or "none"
            lines.append(f"{name} is dead: its pods are deleted without waiting for it, and start elsewhere: {ended}")
        return lines

    def apply(self, world: AnyWorld, hosts: Sequence[Subject]) -> Failures:
        """Drain all hosts at once, each on its own time; a StatefulSet's pods keep their order over all of them."""
        found = {node.name: node for node in nodes(world.kube, [host.name for host in hosts])}
        there = [host.name for host in hosts if host.name in found]
        failures = {name: another(found[name]) for name in there if not is_same(world.plan, found[name])}
        return failures | drained(world, [name for name in there if name not in failures])


def drained(world: AnyWorld, names: Sequence[str]) -> Failures:
    """Drain nodes at once as the plan says; return those for which it could not be done, and why."""
    turns = Turns(name for name in names if name not in world.plan.dead)

    def drain(name: str) -> str:
        try:
            return _end_dead(world, name) if name in world.plan.dead else _Drain(world, name, turns).run()
        except ScalerError as e:
            return e.message
        finally:
            turns.leave(name)

    with Threads(len(names) or 1) as pool:
        return {name: why for name, why in zip(names, pool.map(drain, names), strict=True) if why}


def _end_dead(world: AnyWorld, name: str) -> str:
    """Delete the pods of a node that is proven dead, once more looked at."""
    if any(node.ready for node in nodes(world.kube, [name])):
        return "its kubelet reports again: it is not dead, and nothing was done to it"
    pods.end_at_once(world.kube, pods.on_node(world.kube, name))
    return ""


class _Drain:
    """One node on its way to being empty."""

    def __init__(self, world: AnyWorld, name: str, turns: Turns) -> None:
        self._world = world
        self._turns = turns
        self._kube = world.kube
        self._name = name
        self._drain = world.plan.drain or Drain()
        self._blocked: dict[str, str] = {}
        self._pods: dict[str, Pod] = {}
        self._rest: list[Leaving] = []
        self._attached: list[str] = []
        self._unreached = ""
        # A StatefulSet's pods before which another node's go.
        self._waiting: dict[str, str] = {}

    def run(self) -> str:
        """Go round until the node is empty; return why it is not when the time is up."""
        clock, left = self._world.clock, float(self._drain.timeout)
        since, waited = clock.monotonic(), False
        while not self._empty():
            now = clock.monotonic()
            # While nothing of its own can go before another node's pods, the time is the other's.
            left -= 0.0 if waited else now - since
            since, waited = now, self._only_waits()
            if left <= 0:
                return f"not drained after {self._drain.timeout} s: {'; '.join(self._why())}"
            clock.sleep(EVERY)
        return ""

    def _only_waits(self) -> bool:
        ordered = [pod for pod in self._rest if pod.fate is fates.Fate.ordered]
        sets = fates.in_order(ordered)
        return bool(self._waiting) and len(ordered) == len(self._rest) and len(sets) == len(self._waiting)

    def _empty(self) -> bool:
        try:
            self._unreached, self._waiting = "", {}
            return self._round()
        except UnreachableError as e:
            # A load balancer that just moved is no reason to give a node back half drained.
            self._unreached = e.message
            return False

    def _round(self) -> bool:
        here = pods.on_node(self._kube, self._name)
        volumes = pods.persistent_volumes(self._kube)
        all_of_them = fates.leaving(here, fates.tied_claims(volumes))
        # A pod may have come since the plan was made, and the options are for what the operator has seen.
        refused = fates.refusal(all_of_them, self._drain)
        if refused:
            raise StepError(refused)
        self._pods = {pod.metadata.uid: pod for pod in here}
        self._rest = [pod for pod in all_of_them if not pod.stays]
        self._attached = self._still_attached(here, volumes)
        ending = [pod for pod in self._rest if self._pods[pod.uid].metadata.deleted is not None]
        turn = self._turns.whose(self._name, self._rest, ending, self._is_back)
        self._waiting = turn.waiting
        others = [pod for pod in self._rest if pod.fate is not fates.Fate.ordered]
        self._evict([pod for pod in (*others, *turn.pods) if pod not in ending])
        awaited = self._turns.awaited(self._name)
        if self._rest or awaited:
            self._world.say(f"{self._name}: {len(self._rest)} pods to go")
        return not (self._rest or awaited or self._attached)

    def _evict(self, turn: list[Leaving]) -> None:
        def ask(pod: Leaving) -> str:
            version = self._world.api_version
            return pods.evict(self._kube, pod.namespace, pod.name, pod.uid, version)

        with Threads(_AT_ONCE) as pool:
            told = dict(zip((pod.key for pod in turn), pool.map(ask, turn), strict=True))
        self._blocked = {key: why for key, why in told.items() if why}
        self._turns.went(pod for pod in turn if pod.key not in self._blocked)

    def _is_back(self, old: Leaving) -> bool:
        """Tell whether a StatefulSet's pod runs on another node, or is not wanted any more."""
        new = pods.named(self._kube, old.namespace, old.name)
        if new is None:
            return not pods.wanted(self._kube, old.namespace, old.owner.partition("/")[2], old.ordinal)
        return new.metadata.uid != old.uid and new.spec.node != old.node and new.ready

    def _still_attached(self, here: list[Pod], volumes: list[PersistentVolume]) -> list[str]:
        """Return the volumes that are attached to the node for pods that leave it."""
        attached = {each.spec.source.volume for each in pods.attachments(self._kube, self._name)}
        stay = {pod.metadata.uid for pod in self._leaving_last(here)}
        kept = {
            (pod.metadata.namespace, volume.claim.name)
            for pod in here
            if pod.metadata.uid in stay
            for volume in pod.spec.volumes
            if volume.claim
        }
        theirs = {
            v.metadata.name for v in volumes if v.spec.claim and (v.spec.claim.namespace, v.spec.claim.name) in kept
        }
        return sorted(attached - theirs)

    def _leaving_last(self, here: list[Pod]) -> list[Pod]:
        going = {pod.uid for pod in self._rest}
        return [pod for pod in here if pod.metadata.uid not in going and not pod.finished]

    def _why(self) -> list[str]:
        """Say what keeps the node from being empty, pod by pod."""
        if self._unreached:
            return [self._unreached]
        said = [self._why_not(pod) for pod in self._rest if pod.key in self._blocked]
        ending = [pod.key for pod in self._rest if self._pods[pod.uid].metadata.deleted is not None]
        if ending:
            said.append(f"still ending: {', '.join(ending)}")
        gone = {pod.uid for pod in self._rest}
        said += [
            f"{pod.key} is not Ready on another node yet"
            for pod in self._turns.awaited(self._name)
            if pod.uid not in gone
        ]
        said += [f"{key} waits for {ahead}" for key, ahead in self._waiting.items()]
        if self._attached and not self._rest:
            said.append(f"volumes are still attached: {', '.join(self._attached)}")
        return said or [f"pods are left: {', '.join(pod.key for pod in self._rest)}"]

    def _why_not(self, pod: Leaving) -> str:
        why = self._blocked[pod.key]
        if _TOO_MANY not in why:
            return f"{pod.key}: {why}"
        guards = [b.told for b in pods.budgets(self._kube) if b.guards(self._pods[pod.uid])]
        return f"{' and '.join(guards) or 'the API'} does not let {pod.key} go"


STEP = NodesDrained()
