"""A controller that is killed after each event of its journal, and resumed, ends as one that nobody interrupted."""

from __future__ import annotations

import json
import re
import secrets
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler.lab import lab
from tests.lab.conftest import Cluster, kept, made
from tests.lab.masters import Masters, differences, members
from tests.lab.writing import SELDOM, Written, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

NAME = "killed"
UP = ("--vip", "--loadbalancers", "2", "--masters", "3", "--workers", "1")
JOURNALLED = {"run-started", "step-intent", "step-fact", "step-done", "run-ended"}
# Keys and what is signed with them are made anew each time; receipts and the claim name their run.
MADE_ANEW = (".key", ".crt", ".kubeconfig", ".pem")
# It names the network of the host's pods, and a Node that is made anew gets another.
NETWORK = "/etc/cni/net.d/10-routed.conflist"
# As kubelet names its certificates: by when it got them.
DATED = re.compile(r"-\d{4}(-\d\d){5}(?=\.pem$)")
OF_A_RUN = ("/var/lib/scaler/", "/var/lib/cni/", "/etc/.pwd.lock")
CHANGES = {
    "add-node": ("n1",),
    "remove-master": ("m3", "--allow-even"),
    "add-master": ("m3",),
}

INVERSE = {
    "add-node": ("remove-node", "n1", "--ignore-daemonsets"),
    "remove-master": ("add-master", "m3"),
    "add-master": ("remove-master", "m3", "--allow-even"),
}


class Seen(NamedTuple):
    """How a change ended, once uninterrupted and once killed all the way, and at which events it was killed."""

    whole: dict[str, Any]
    killed: dict[str, Any]
    at: list[tuple[str, ...]]
    written: Written


def end_state(cluster: Cluster) -> dict[str, Any]:
    """Return what a change leaves: hosts' files, members, nodes, endpoints, inventory."""
    return {
        "files": {name: _files(cluster, name) for name in cluster.hosts},
        "members": {name: bool(told.get("isLearner")) for name, told in members(cluster).items()},
        "nodes": {name: _node(told) for name, told in cluster.nodes().items()},
        "endpoints": _endpoints(cluster),
        "inventory": cluster.inventory.read_text(),
    }


def _files(cluster: Cluster, name: str) -> dict[str, Any]:
    told = {}
    for path, seen in cluster.tree(name).items():
        if path.endswith("-") or path.startswith(OF_A_RUN):
            continue
        kept = seen[1:] if path.endswith(MADE_ANEW) and isinstance(seen, list) else seen
        told[DATED.sub("", path)] = DATED.sub("", kept) if isinstance(kept, str) else kept
    if NETWORK in told:
        text = cluster.hosts[name].exec(["cat", NETWORK]).out
        told[NETWORK] = text.replace(cluster.nodes()[name]["spec"]["podCIDR"], "the Node's own")
    return told


def _node(told: dict[str, Any]) -> dict[str, Any]:
    return {
        "labels": told["metadata"]["labels"],
        "marks": sorted(key for key in told["metadata"].get("annotations", {}) if "scaler" in key),
        "taints": [taint["key"] for taint in told["spec"].get("taints", ()) if "scaler" not in taint["key"]],
        "closed": told["spec"].get("unschedulable", False),
        "ready": [c["status"] for c in told["status"]["conditions"] if c["type"] == "Ready"],
    }


def _endpoints(cluster: Cluster) -> list[str]:
    told = json.loads(cluster.kubectl("get", "endpoints", "kubernetes", "-o", "json"))
    return sorted(a["ip"] for subset in told.get("subsets", ()) for a in subset["addresses"])


def through(cluster: Cluster, verb: str, *more: str) -> dict[str, Any]:
    """Make a change that nobody interrupts; return how it ends."""
    code, told = cluster.change(verb, *more)
    assert code == 0, told
    return end_state(cluster)


def killed(cluster: Cluster, verb: str) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Make a change, kill it at the first event at which it was not killed before, resume it, until it is through."""
    at: list[tuple[str, ...]] = []
    argv: tuple[str, ...] = (verb, *CHANGES[verb])
    while True:
        last = ""
        with cluster.start(*argv, "--cluster", NAME, "--yes", "--output", "jsonl") as process:
            assert process.stdout is not None
            for line in process.stdout:
                last, event = line, json.loads(line)
                here = (event["kind"], event.get("step", ""), *sorted(event.get("data", {}))) if "kind" in event else ()
                if here and event["kind"] in JOURNALLED and here not in at:
                    at.append(here)
                    process.send_signal(signal.SIGKILL)
                    break
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, last
            return end_state(cluster), at
        if not unfinished(cluster):
            return end_state(cluster), at
        argv = ("runs", "resume")


def unfinished(cluster: Cluster) -> list[Any]:
    """Return the runs that left something half-way; one that is killed behind its last step has not."""
    told = cluster.scaler("runs", "list", "--unfinished", "--cluster", NAME, "--output", "json")
    assert told.status == 0, told
    return list(json.loads(told.out)["data"]["runs"])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    try:
        cluster = made(NAME, tmp_path_factory.mktemp("state"), keep=kept(), up=UP)
        Masters(cluster).at(3)
        yield cluster
    finally:
        if not kept():
            lab.down(NAME)


@pytest.fixture(scope="module", params=CHANGES)
def seen(cluster: Cluster, request: pytest.FixtureRequest) -> Seen:
    verb = request.param
    with writing(cluster.where, f"killed-{secrets.token_hex(3)}", every=SELDOM) as written:
        # Changes nothing where nothing was changed before.
        through(cluster, *INVERSE[verb])
        whole = through(cluster, verb, *CHANGES[verb])
        through(cluster, *INVERSE[verb])
        ends, at = killed(cluster, verb)
    return Seen(whole, ends, at, written)


def test_it_ends_as_if_nobody_had_interrupted_it(seen: Seen) -> None:
    told = differences(seen.whole, seen.killed)
    assert not told, "\n".join(told)


def test_it_was_killed_before_and_after_every_step(seen: Seen) -> None:
    intents = {step for kind, step, *_ in seen.at if kind == "step-intent"}
    # What was killed behind its own fact is seen to be done, and not done again.
    dones = {step for kind, step, *_ in seen.at if kind in {"step-done", "step-fact"}}
    assert ("run-started", "") in {(kind, step) for kind, step, *_ in seen.at}
    assert intents
    assert intents == dones


def test_no_write_failed_and_none_was_lost(seen: Seen) -> None:
    assert not seen.written.told["failures"], seen.written.told
    assert not seen.written.told["lost"], seen.written.told
