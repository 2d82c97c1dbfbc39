"""Random faults between random changes for as long as one likes: `make soak MINUTES=10 SEED=7`.

After each change the fault is mended, the run resumed until it is through, and what must hold is looked at. The seed is
printed first; the same seed makes the same changes and the same faults at the same events.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaler.lab import lab
from scaler.lab.tools import wait_until
from tests.lab.conftest import Cluster, kept, made
from tests.lab.masters import Masters, members
from tests.lab.writing import SELDOM, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from subprocess import Popen

    Act = Callable[[], Any]

NAME = "soak"
UP = ("--vip", "--loadbalancers", "2", "--masters", "4", "--workers", "3")
MASTERS, WORKERS = ("m1", "m2", "m3", "m4"), ("n1", "n2", "n3")
MIB = 1 << 20
# How many events of the journal a fault waits for, at most: about as many as the change has of them.
LATEST = {"add-node": 16, "remove-node": 14, "add-master": 46, "remove-master": 36}
TRIES = 6
KINDS = (
    "the controller is killed",
    "the controller is interrupted",
    "a member is killed",
    "a cable is pulled",
    "a disk is full",
    "a host reboots",
)
# A write that is under way through what dies may fail; that is the fault's own doing.
MAY_FAIL = {"a member is killed": 5, "a host reboots": 40, "a cable is pulled": 40, "a disk is full": 40}


def dealt(chance: random.Random) -> Iterator[str]:
    """Return kinds of faults without an end: each comes once before any comes again."""
    while True:
        yield from chance.sample(KINDS, len(KINDS))


def fault(cluster: Cluster, chance: random.Random, process: Popen[str], busy: str, kind: str) -> tuple[Act, Act]:
    """Return what makes a fault of this kind, on a host that chance picks, and what mends it.

    ``busy`` is the host that the change is about.
    """
    standing = sorted(_standing(cluster))
    host = cluster.hosts[chance.choice([*standing, busy])]
    member = cluster.hosts[chance.choice(sorted(_masters(cluster)))]
    acts: dict[str, tuple[Act, Act]] = {
        "the controller is killed": (lambda: process.send_signal(signal.SIGKILL), lambda: None),
        "the controller is interrupted": (lambda: process.send_signal(signal.SIGINT), lambda: None),
        "a member is killed": (
            lambda: member.exec(["systemctl", "kill", "--signal=KILL", "etcd.service"], check=False),
            lambda: member.exec(["systemctl", "start", "etcd.service"], check=False),
        ),
        "a cable is pulled": (host.cut, host.mend),
        "a disk is full": (lambda: host.fill(leave_bytes=30 * MIB), host.unfill),
        "a host reboots": (host.reboot, host.power_on),
    }
    return acts[kind]


def _masters(cluster: Cluster) -> set[str]:
    return {name for name, told in cluster.nodes().items() if name.startswith("m") and told}


def _standing(cluster: Cluster) -> set[str]:
    return set(cluster.nodes())


def change(cluster: Cluster, chance: random.Random) -> tuple[str, ...]:
    """Return a change that is possible now: the cluster has three or four masters and any number of workers."""
    nodes = set(cluster.nodes())
    masters, workers = sorted(nodes & set(MASTERS)), sorted(nodes & set(WORKERS))
    possible: list[tuple[str, ...]] = [("add-node", name) for name in WORKERS if name not in workers]
    possible += [("remove-node", name, "--ignore-daemonsets") for name in workers]
    possible += [("add-master", name, "--allow-even") for name in MASTERS if name not in masters]
    # Three stay, so that a fault of one does not take the quorum.
    if len(masters) > 3:
        possible += [("remove-master", name, "--allow-even") for name in masters]
    return chance.choice(possible)


def struck(cluster: Cluster, chance: random.Random, argv: tuple[str, ...], kind: str) -> str:
    """Make a change, have a fault in the middle of it, make that good; return its kind, "" where none was met."""
    when = chance.randrange(1, LATEST[argv[0]])
    with cluster.start(*argv, "--cluster", NAME, "--yes", "--output", "jsonl") as process:
        strike, mend = fault(cluster, chance, process, argv[1], kind)
        assert process.stdout is not None
        count, met = 0, ""
        for line in process.stdout:
            if "kind" not in json.loads(line):
                continue
            count += 1
            if count == when:
                met = kind
                print(f"    event {when}: {kind}", flush=True)  # noqa: T201
                strike()
                if kind in {"a cable is pulled", "a disk is full"}:
                    # For as long as a few more events, or the end of the run, take.
                    for _ in range(3):
                        process.stdout.readline()
                    mend()
    mend()
    if not met:
        print(f"    {count} events: through before {kind}", flush=True)  # noqa: T201
    return met


def finished(cluster: Cluster, argv: tuple[str, ...]) -> None:
    """Resume what did not end until it has; the same command then finds nothing to do."""
    told: dict[str, Any] = {}
    for _ in range(TRIES):
        code, told = cluster.change(*argv)
        if code == 0:
            break
    else:
        raise AssertionError(f"{' '.join(argv)} does not end: {json.dumps(told.get('error'))}")
    code, told = cluster.change(*argv)
    assert (code, told["data"]["changed"]) == (0, False), f"a second run changed something: {told}"


def must_hold(cluster: Cluster) -> None:
    """Look at what must hold after each change: no learner, every set equal, every node Ready, no run unfinished."""
    last = ""

    def well() -> bool:
        nonlocal last
        last = cluster.scaler("status", "--cluster", NAME, "--output", "json").out
        return bool(last) and bool(json.loads(last)["ok"])

    try:
        wait_until(well, "status finds nothing wrong", timeout=90)
    except Exception as e:
        raise AssertionError(f"the cluster is not well: {last}") from e
    assert not any(told.get("isLearner") for told in members(cluster, on=min(_masters(cluster))).values())
    nodes, text = set(cluster.nodes()), cluster.inventory.read_text().split("standby:")[0]
    listed = {name for name in (*MASTERS, *WORKERS) if f" {name}:" in text}
    assert nodes == listed, f"nodes {sorted(nodes)}, inventory {sorted(listed)}"


def soak(cluster: Cluster, chance: random.Random, seconds: float) -> int:
    """Change and strike until the time is over; return how many changes were made."""
    end, rounds, kinds = time.monotonic() + seconds, 0, dealt(chance)
    while time.monotonic() < end:
        rounds += 1
        argv = change(cluster, chance)
        print(f"{rounds}. {' '.join(argv)}", flush=True)  # noqa: T201
        with writing(cluster.where, f"soak-{secrets.token_hex(3)}", every=SELDOM) as written:
            met = struck(cluster, chance, argv, next(kinds))
            finished(cluster, argv)
        must_hold(cluster)
        assert not written.told["lost"], written.told
        assert len(written.told["failures"]) <= MAY_FAIL.get(met, 0), written.told
        figures = {key: written.told[key] for key in ("written", "gap")}
        print(f"    all holds: {json.dumps(figures)}, {len(written.told['failures'])} failed", flush=True)  # noqa: T201
        if argv[0].startswith("remove"):
            cluster.fresh(argv[1])
    return rounds


def main() -> None:
    """Read the options, make the lab, soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1 << 16)
    print(f"seed {seed} (again: make soak SEED={seed})", flush=True)  # noqa: T201
    try:
        with tempfile.TemporaryDirectory() as state:
            cluster = made(NAME, Path(state), keep=kept(), up=UP)
            Masters(cluster).at(3)
            rounds = soak(cluster, random.Random(seed), options.minutes * 60)  # noqa: S311 - replays, no secret
    finally:
        if not kept():
            lab.down(NAME)
    print(f"{rounds} changes, seed {seed}: all held")  # noqa: T201


if __name__ == "__main__":
    main()
