"""What the autoscaler's server tells of itself: metrics in Prometheus' text, and whether it is well."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.pages import Page
from scaler.plan import node_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from scaler.app.autoscaler_groups import Groups
    from scaler.app.autoscaler_work import Worker
    from scaler.gateways.externalgrpc.server import Call
    from scaler.model.node_groups import Ledger, World

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

_ABOUT = {
    "group_min": "gauge: The least size of a group.",
    "group_max": "gauge: The biggest size of a group.",
    "group_target": "gauge: The size that a group comes to.",
    "group_standby": "gauge: Hosts of the pool on standby that nobody wishes anything of.",
    "group_ready": "gauge: Workers of the pool whose Nodes are Ready.",
    "machines": "gauge: Machines of a group by state; failed are those that did not come.",
    "hosts_in_trouble": "gauge: Hosts that failed lately.",
    "run_going": "gauge: Whether a run goes on.",
    "calls_total": "counter: Calls by method and gRPC status.",
    "call_seconds_total": "counter: How long calls took together.",
    "runs_total": "counter: Runs by command and exit code.",
    "run_seconds_total": "counter: How long runs took together.",
    "seen_timestamp_seconds": "gauge: When the cluster was seen last.",
}


class Counters:
    """Counts calls and runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._seconds: dict[tuple[str, Labels], float] = {}

    def call(self, call: Call) -> None:
        """Count one call."""
        self._add("call", (("method", call.method), ("code", call.code)), (("method", call.method),), call.seconds)

    def run(self, verb: str, code: int, seconds: float) -> None:
        """Count one run."""
        self._add("run", (("verb", verb), ("exit_code", str(code))), (("verb", verb),), seconds)

    def _add(self, what: str, counted: Labels, timed: Labels, seconds: float) -> None:
        with self._lock:
            self._counts[f"{what}s_total", counted] += 1
            key = (f"{what}_seconds_total", timed)
            self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def samples(self) -> dict[str, list[Sample]]:
        """Return what was counted."""
        with self._lock:
            found: dict[str, list[Sample]] = {}
            for (name, labels), value in [*self._counts.items(), *self._seconds.items()]:
                found.setdefault(name, []).append((labels, float(value)))
            return found


def pages(groups: Groups, counters: Counters, worker: Worker) -> dict[str, Callable[[], Page]]:
    """Return the pages that are shown."""

    def metrics() -> Page:
        samples = counters.samples()
        try:
            with groups.both() as (world, ledger):
                samples |= _seen(world, ledger)
        except ScalerError:
            # Not seen yet: there is nothing to tell of the cluster.
            pass
        return Page(200, "".join(_text(samples)))

    def healthy() -> Page:
        return Page(200, "ok\n") if worker.alive else Page(500, "a thread has ended\n")

    def ready() -> Page:
        why = groups.fresh()
        return Page(503, f"the cluster is {why}\n") if why else healthy()

    return {"/metrics": metrics, "/healthz": healthy, "/readyz": ready}


def _seen(world: World, ledger: Ledger) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {name: [] for name in _ABOUT}
    wished = {wish.host for wish in ledger.wishes}
    for group in node_groups.groups(world):
        labels = (("group", group),)
        least, most = node_groups.bounds(world, group)
        found["group_min"].append((labels, least))
        found["group_max"].append((labels, most))
        found["group_target"].append((labels, node_groups.target(world, ledger, group)))
        standby = sum(host.name not in wished for host in world.cluster.waiting(group))
        found["group_standby"].append((labels, standby))
        nodes = [world.node(host.name) for host in world.cluster.working(group)]
        found["group_ready"].append((labels, sum(bool(node and node.ready) for node in nodes)))
        states = Counter("failed" if m.error else m.state for m in node_groups.instances(world, ledger, group))
        found["machines"] += [
            ((*labels, ("state", state)), states[state]) for state in ("running", "creating", "deleting", "failed")
        ]
    found["hosts_in_trouble"] = [((), len(ledger.troubles))]
    found["run_going"] = [((), float(ledger.batch is not None))]
    found["seen_timestamp_seconds"] = [((), world.at.timestamp())]
    return {name: samples for name, samples in found.items() if samples}


def _text(samples: dict[str, list[Sample]]) -> Iterator[str]:
    for name, about in _ABOUT.items():
        if name in samples:
            kind, _, told = about.partition(": ")
            yield f"# HELP scaler_autoscaler_{name} {told}\n# TYPE scaler_autoscaler_{name} {kind}\n"
            for labels, value in sorted(samples[name]):
                yield f"scaler_autoscaler_{name}{_braced(labels)} {value:.6f}\n".replace(".000000\n", "\n")


def _braced(labels: Iterable[tuple[str, str]]) -> str:
    # Neither pools, methods nor codes can have a quote or a backslash in them.
    told = ",".join(f'{key}="{value}"' for key, value in labels)
    return f"{{{told}}}" if told else ""
