"""The full proof of nodes: all objects made at once, then every check of every node at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scaler.checks import join
from scaler.checks.join import SIDES, Absent, JoinCheck, Look, Peer, Target
from scaler.checks.parts import Place, parts
from scaler.errors import ScalerError
from scaler.gateways.threads import Threads
from scaler.model.proof import Proof, Result
from scaler.steps.verification_objects import once, space
from scaler.steps.verification_scene import NodeScene
from scaler.steps.verification_watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.checks.join import Check, Facts, Side
    from scaler.steps.proof_space import Space

START_SECONDS = 60.0
UNTRIED = "not tried: no pod runs"
# Names of checks' threads that work for one node at once: all of them.
_AT_ONCE = 64


class Verification:
    """One run of the chosen checks, in one namespace, on one batch of nodes after the other."""

    def __init__(
        self,
        where: Space,
        facts: Facts,
        chosen: Sequence[Check],
        *,
        image: str,
        seconds: float,
        all_peers: bool = False,
    ) -> None:
        self._space = where
        self._facts = facts
        self._chosen = chosen
        self._image = image
        self._seconds = seconds
        self._all_peers = all_peers
        self._places: dict[str, Place] = {}
        self._watch = Watch(where)
        self._asked_at = 0.0
        self._deadline = 0.0

    def begin(self, holder: str) -> None:
        """Make the namespace and what is there once."""
        namespace = self._space.namespace
        self._space.kube.create([space(namespace, holder)])
        balanced = bool(self._facts.balancer) and any("balanced" in each.needs for each in self._chosen)
        self._space.create(once(namespace, self._facts.domain, balanced=balanced))

    def prove(self, names: Sequence[str], peers: Sequence[str], heard: Callable[[Proof], None]) -> list[Proof]:
        """Run all checks on each of ``names``, with ``peers`` to talk to, or with each other where there are none."""
        self._deadline = self._space.clock.monotonic() + self._seconds
        self._watch = Watch(self._space)
        needed = {part for check in self._chosen for part in _parts_of(check)} | {"main"}
        pods = [told for name in (*names, *peers) for told in self._objects(name, {"main"})]
        others = [told for name in names for told in self._objects(name, needed - {"main"})]
        # Of a peer only what is talked to.
        others += [told for name in peers for told in self._objects(name, needed & {"host"})]
        self._asked_at = self._space.clock.monotonic()
        self._space.create(pods)
        with Threads(1) as pool:
            made = pool.submit(self._space.create, others)
            self._wait(names, peers)
            made.result()
        seen = {name: self._peer(name) for name in (*names, *peers) if self._runs(name)}
        running = [name for name in peers if name in seen]
        if peers and not running:
            told = "; ".join(f"{name}: {self._why(name)}" for name in peers)
            raise ScalerError(f"no pod starts on any other node to prove the network with: {told}")
        self._watch.widen()

        def proven(name: str) -> Proof:
            with_whom = running or _behind(name, [each for each in names if each in seen])
            found = self._prove(name, [seen[each] for each in with_whom][: None if self._all_peers else 1], seen)
            heard(found)
            return found

        with Threads(len(names)) as pool:
            return list(pool.map(proven, names))

    def end(self, names: Sequence[str]) -> None:
        """Delete what was made for a batch, so that the next one has room."""
        for name in names:
            wanted = f"app=scaler-verify,number={self._places[name].number}"
            self._space.call("delete", "pods,services,deployments,statefulsets", "-l", wanted, "--wait=false")

    def _objects(self, name: str, needed: set[str]) -> list[dict[str, Any]]:
        namespace = self._space.namespace
        place = self._places.setdefault(name, Place(namespace, name, len(self._places), self._image))
        told = [part for part in parts().values() if part.name in needed and part.there(self._facts, name)]
        return [each for part in told for each in part.objects(place)]

    def _wait(self, names: Sequence[str], peers: Sequence[str]) -> None:
        """Wait for the pods that are talked to: on all nodes, and on one or all of the others."""
        enough = all if self._all_peers else any

        def all_run() -> bool:
            hosts = any("host" in _parts_of(check) for check in self._chosen)
            running = [self._runs(name) and (not hosts or self._runs(name, "host")) for name in names]
            there = [self._runs(name) and (not hosts or self._runs(name, "host")) for name in peers]
            return all(running) and (not peers or enough(there))

        self._watch.until(all_run, min(START_SECONDS, self._seconds))

    def _runs(self, name: str, part: str = "main") -> bool:
        pod = self._watch.pod(f"{part}-{self._places[name].number}")
        return pod is not None and join.is_ready(pod)

    def _why(self, name: str) -> str:
        pod = self._watch.pod(f"main-{self._places[name].number}")
        return self._space.why(pod) if pod else "the pod is gone"

    def _peer(self, name: str) -> Peer:
        """Return what the API tells of a node's pod and of the Service that is its own."""
        number = self._places[name].number
        status = (self._watch.pod(f"main-{number}") or {})["status"]
        service = self._space.kube.get("services", [f"on-{number}"], namespace=self._space.namespace)[0]["spec"]
        return Peer(
            name,
            status["podIP"],
            status.get("hostIP", ""),
            service["clusterIP"],
            service["ports"][0].get("nodePort", 0),
        )

    def _prove(self, name: str, peers: Sequence[Peer], seen: dict[str, Peer]) -> Proof:
        began = self._space.clock.monotonic()
        number = self._places[name].number
        stages = {stage: round(at - self._asked_at, 2) for stage, at in self._watch.stages(f"main-{number}").items()}
        results = (
            self._all(name, peers, seen[name], stages)
            if name in seen
            else _unstarted(self._chosen, self._why(name), self._seconds)
        )
        seconds = self._space.clock.monotonic() - (self._asked_at if name in seen else began)
        return Proof(
            node=name,
            peers=tuple(peer.name for peer in peers),
            seconds=round(seconds, 2),
            stages=stages,
            checks=tuple(sorted(results, key=lambda each: (each.group, each.check))),
        )

    def _all(self, name: str, peers: Sequence[Peer], own: Peer, stages: dict[str, float]) -> list[Result]:
        addresses = {
            each["metadata"]["name"]: each["spec"].get("clusterIP", "")
            for each in self._space.kube.get("services", ["verify", "affine"], namespace=self._space.namespace)
        }
        target = Target(
            own=own,
            service_ip=addresses["verify"],
            peers=tuple(peers),
            affine_ip=addresses["affine"],
            facts=self._facts,
            number=self._places[name].number,
        )
        scene = NodeScene(self._space, self._watch, target, stages, self._deadline)
        results: list[Result] = []
        # What is big goes out first here: later the kernel has learned what fits.
        for first in (True, False):
            with Threads(_AT_ONCE) as pool:
                waiting = [pool.submit(self._lines, scene, side, first=first) for side in SIDES]
                looks = [each for each in self._chosen if isinstance(each, Look) and not each.last and not first]
                told = [pool.submit(_look, each, scene) for each in looks]
                results += [result for each in waiting for result in each.result()]
                results += [each.result() for each in told]
        last = [each for each in self._chosen if isinstance(each, Look) and each.last]
        return results + [_look(each, scene) for each in last]

    def _lines(self, scene: NodeScene, side: Side, *, first: bool) -> list[Result]:
        """Run the lines of one side, and where it is the peers' on each of them."""
        of = join.lines(self._chosen, side, first=first)
        if not of:
            return []
        part, on_peers = SIDES[side]
        target = scene.target
        where = [self._places[peer.name].number for peer in target.peers] if on_peers else [target.number]
        told = [self._run_lines(scene, of, f"{part}-{number}") for number in where]
        # Without anybody to run them they say themselves why.
        return _worst(told) if told else join.results(of, "", target)

    def _run_lines(self, scene: NodeScene, of: Sequence[JoinCheck], pod: str) -> list[Result]:
        script = join.script(of, scene.target)
        if script == "true":
            return join.results(of, "", scene.target)
        try:
            why = scene.ready(pod)
            printed = "" if why else scene.run(pod, script, "exec" if pod.startswith("ready-") else "")
        except ScalerError as e:
            why, printed = e.message, ""
        told = join.results(of, printed, scene.target)
        return [_because(each, why) if each.reason == "no result" and why else each for each in told]


def _parts_of(check: Check) -> set[str]:
    """Return the parts that a check needs on its node."""
    part = {SIDES[check.side][0]} if isinstance(check, JoinCheck) else set()
    return {*check.needs, *part} - {"balanced"}


def _behind(name: str, names: Sequence[str]) -> list[str]:
    """Return the others of ``names``, those behind it first, so that each has another one to talk to."""
    at = names.index(name) if name in names else 0
    return [each for each in (*names[at:], *names[:at]) if each != name]


def _look(check: Look, scene: NodeScene) -> Result:
    began = scene.clock.monotonic()
    try:
        said = check.look(scene)
    except ScalerError as e:
        said = e.message
    except (LookupError, TypeError, ValueError) as e:
        # A pod that was evicted, an answer that was cut off: it fails this check, and no other one.
        said = f"what was told makes no sense: {type(e).__name__}: {e}"
    seconds = round(scene.clock.monotonic() - began, 2)
    if isinstance(said, Absent):
        return Result(check=check.name, group=check.group, outcome="not there", reason=said.what, seconds=seconds)
    outcome = "failed" if said else "passed"
    reason = " ".join(said.split())
    return Result(check=check.name, group=check.group, outcome=outcome, reason=reason, seconds=seconds)


def _unstarted(chosen: Sequence[Check], why: str, seconds: float) -> list[Result]:
    """Return what becomes of the checks where the pod that all talk to does not run: one of them tells why."""
    teller = next((check for check in chosen if check.name == "pod-life"), chosen[0])
    told = f"the pod does not run after {min(START_SECONDS, seconds):g} s: {why}"
    return [
        Result(check=each.name, group=each.group, outcome="failed", reason=told if each is teller else UNTRIED)
        for each in chosen
    ]


def _because(result: Result, why: str) -> Result:
    return result.model_copy(update={"reason": " ".join(why.split())})


def _worst(told: Sequence[Sequence[Result]]) -> list[Result]:
    """Return one result a check out of those that each peer gave: where one failed it has."""
    order = {"failed": 0, "not there": 1, "passed": 2}
    return [min(each, key=lambda result: order[result.outcome]) for each in zip(*told, strict=True)]
