"""Prove that work runs on nodes: facts first, then batch after batch, and everything deleted whatever happens."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from scaler.app import networks
from scaler.app.cloud_session import CloudSession, api_version
from scaler.app.runner import new_run_id
from scaler.checks import join
from scaler.drivers import cni
from scaler.engine.interrupts import Interrupts
from scaler.errors import InputError, PreflightError, ScalerError
from scaler.gateways.kube import nodes
from scaler.gateways.process import alive
from scaler.model.base import Value
from scaler.model.proof import Proof, Result
from scaler.steps import verification_facts
from scaler.steps.proof import peers_of
from scaler.steps.proof_space import Space
from scaler.steps.verification import UNTRIED, Verification
from scaler.steps.verification_objects import HOLDER_ANNOTATION, VERIFIED, verification_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scaler.app.session import Session
    from scaler.checks.join import Check, Facts
    from scaler.model.state import Node

# Each brings some ten pods, and has the processors of its own node; kubectl's processes have those of this machine.
BATCH = 8
# After the time that a proof has, nobody is at work in its namespace any more.
SLACK = timedelta(minutes=10)
# One of a join has no end of its own.
ORPHANED = timedelta(hours=2)


class Wanted(NamedTuple):
    """What is to be proven: on which nodes, all workers where none is named; by which checks, with which others."""

    names: Sequence[str] = ()
    checks: Sequence[str] = ()
    skip: Sequence[str] = ()
    peers: Sequence[str] = ()
    outside: Sequence[str] = ()
    seconds: float = 180.0


class Holder(Value):
    """Who works in a namespace, and until when at most."""

    host: str
    pid: int
    until: datetime


@dataclass
class Verified:
    """What came of it; ``left`` says why what was made could not be deleted."""

    run: str
    image: str
    seconds: float = 0.0
    proofs: list[Proof] = field(default_factory=list)
    left: str = ""

    @property
    def failed(self) -> tuple[Proof, ...]:
        """The nodes on which a check does not hold."""
        return tuple(proof for proof in self.proofs if proof.failed)


def verify(session: Session | CloudSession, wanted: Wanted, say: Callable[[str], None]) -> Verified:
    """Prove the wanted nodes; raises ScalerError where nothing can be proven at all."""
    chosen = join.chosen(wanted.checks, wanted.skip)
    if not chosen:
        raise InputError("no check is left to run", hint="say less with --skip")
    clock, kube, settings = session.clock, session.kube, session.cluster.settings
    there = {node.name: node for node in nodes(kube)}
    names = _names(session, wanted.names, there)
    _must_be_there(wanted.peers, there, ready=True)
    began, run = clock.monotonic(), new_run_id(clock.now())
    done = Verified(run, settings.verify_image)
    where = Space(kube, clock, verification_namespace(run))
    facts = _facts(session, where.namespace, there, wanted.outside)
    fit = [name for name in names if there[name].ready]
    done.proofs = [_not_ready(there[name], chosen) for name in names if name not in fit]
    batches = [fit[at : at + BATCH] for at in range(0, len(fit), BATCH)]
    _remove_leftovers(session, say)
    verification = Verification(
        where, facts, chosen, image=done.image, seconds=wanted.seconds, all_peers=bool(wanted.peers)
    )
    with _cleaned(where, done, say):
        if batches:
            until = clock.now() + timedelta(seconds=wanted.seconds * len(batches)) + SLACK
            holder = Holder(host=socket.gethostname(), pid=os.getpid(), until=until)
            verification.begin(holder.model_dump_json())
        for batch in batches:
            say(f"proving {', '.join(batch)}: {len(chosen)} checks")
            others = list(wanted.peers) or peers_of(batch, there.values(), last=_last(session, there))
            done.proofs += verification.prove(batch, [name for name in others if name not in batch], _heard(say))
            if batch is not batches[-1]:
                verification.end(batch)
    done.proofs.sort(key=lambda proof: names.index(proof.node))
    done.seconds = round(clock.monotonic() - began, 2)
    return done


def error(done: Verified) -> ScalerError | None:
    """Return what the command ends with: None where every check on every node holds, or is not there to be tried."""
    if done.failed:
        told = "".join(f"\n{proof.node}: {_failures(proof)}" for proof in done.failed)
        return PreflightError(
            f"{len(done.failed)} of {len(done.proofs)} nodes failed{told}",
            hint="the reference of checks tells what to look at; scaler verify NODE --checks NAME tries one again",
        )
    if done.left:
        return ScalerError(
            f"all is proven, and what was made for it is still there: {done.left}",
            hint="the next scaler verify deletes it",
        )
    return None


def _failures(proof: Proof) -> str:
    return "; ".join(f"{each.check}: {each.reason}" for each in proof.failed if each.reason != UNTRIED)


def _heard(say: Callable[[str], None]) -> Callable[[Proof], None]:
    def tell(proof: Proof) -> None:
        counts = {outcome: sum(each.outcome == outcome for each in proof.checks) for outcome in ("passed", "failed")}
        say(f"{proof.node}: {counts['passed']} passed, {counts['failed']} failed ({proof.seconds:.0f} s)")

    return tell


def _names(session: Session | CloudSession, wanted: Sequence[str], there: dict[str, Node]) -> list[str]:
    """Return the nodes to prove: those named, or every worker."""
    if wanted:
        _must_be_there(wanted, there, ready=False)
        return list(dict.fromkeys(wanted))
    if isinstance(session, CloudSession):
        names = [name for name, node in there.items() if node.takes_pods]
    else:
        names = [host.name for host in session.cluster.workers]
        _must_be_there(names, there, ready=False)
    if not names:
        raise InputError(f"cluster {session.name} has no workers", hint="name the nodes to prove")
    return names


def _must_be_there(names: Sequence[str], there: dict[str, Node], *, ready: bool) -> None:
    missing = [name for name in names if name not in there]
    if missing:
        raise InputError(f"there is no Node {', '.join(missing)}", hint=f"there are {', '.join(there)}")
    away = [name for name in names if ready and not there[name].ready]
    if away:
        raise InputError(
            f"{', '.join(away)} is not Ready, so nothing can be proven with it", hint="name another --peer"
        )


def _last(session: Session | CloudSession, there: dict[str, Node]) -> list[str]:
    if isinstance(session, CloudSession):
        return [node.name for node in there.values() if not node.takes_pods]
    return [master.name for master in session.cluster.masters]


def _facts(session: Session | CloudSession, namespace: str, there: dict[str, Node], outside: Sequence[str]) -> Facts:
    kube = session.kube
    version = api_version(kube)
    if isinstance(session, CloudSession):
        return verification_facts.read(
            kube, version=version, namespace=namespace, domain="cluster.local", dns_ip="", outside=outside
        )
    settings = session.cluster.settings
    facts = verification_facts.read(
        kube,
        version=version,
        namespace=namespace,
        domain=settings.cluster_domain,
        dns_ip=settings.cluster_dns,
        outside=outside,
    )
    if cni.of(settings.cni).needs_pod_cidr:
        own = {name: (node.spec.pod_cidr,) for name, node in there.items() if node.spec.pod_cidr}
        return facts._replace(pod_networks=own)
    # Out of the network's own pools, which need not be what the inventory says.
    return facts._replace(pod_networks=dict.fromkeys(there, networks.network(session).cidrs))


def _not_ready(node: Node, chosen: Sequence[Check]) -> Proof:
    why = f"the Node is not Ready: {node.why_not_ready}"
    told = tuple(Result(check=each.name, group=each.group, outcome="failed", reason=why) for each in chosen[:1])
    return Proof(node=node.name, checks=told)


@contextmanager
def _cleaned(where: Space, done: Verified, say: Callable[[str], None]) -> Iterator[None]:
    """Delete the namespace behind the work, also where a signal ends it; while that goes on, signals are not heard."""
    working = True

    def stop() -> None:
        if working:
            raise KeyboardInterrupt

    interrupts = Interrupts()
    with interrupts.listening():
        try:
            with interrupts.abortable(stop):
                yield
        finally:
            working = False
            say("deleting what was made for the proof")
            try:
                where.clean_up()
            except ScalerError as e:
                done.left = e.message
                say(f"warning: namespace {where.namespace} is left: {e.message}")


def _remove_leftovers(session: Session | CloudSession, say: Callable[[str], None]) -> None:
    """Delete the namespaces of proofs that were killed; one in which somebody is at work stays."""
    told = json.loads(session.kube.call(["get", "namespaces", "-l", VERIFIED, "-o", "json"]))
    for each in told["items"]:
        if each["metadata"].get("deletionTimestamp") is None and _is_left(each["metadata"], session.clock.now()):
            name = each["metadata"]["name"]
            say(f"deleting {name}, which a proof that was killed has left")
            with suppress(ScalerError):
                Space(session.kube, session.clock, name).clean_up()


def _is_left(metadata: dict[str, Any], now: datetime) -> bool:
    try:
        holder = Holder.model_validate_json(metadata.get("annotations", {})[HOLDER_ANNOTATION])
    except (KeyError, ValidationError):
        return now - datetime.fromisoformat(metadata["creationTimestamp"]) > ORPHANED
    return now > holder.until or (holder.host == socket.gethostname() and not alive(holder.pid))
