"""Proof that work runs on a node: a check is a shell line in a pod, or a look at what the API tells meanwhile.

Checks that are not ``full`` prove every node that joins; all together are what ``scaler verify`` runs. The lines use a
busybox's applets only (sh, date, nc, wc, httpd; ping and nslookup in full ones), so any small image serves.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from scaler.checks import found
from scaler.errors import InputError
from scaler.model.proof import Outcome, Result

PORT = 8080
# On the host's own network; not one that Kubernetes, its load balancers or a network use.
HOST_PORT = 18099
# More than any MTU, so that a link which loses full-sized packets shows (TCP forbids their fragmentation).
BODY_BYTES = 65536
# The controller manager tells who is behind a Service, then every kube-proxy writes its rules: each in its own time.
PATIENCE_SECONDS = 15
# A server of DNS remembers for a while that there was no such name.
DNS_SECONDS = 35
NOT_THERE = 3
JOIN = "join"

Side = Literal["node", "peer", "host", "peer-host", "ready"]
Group = Literal["pod", "access", "cgroup", "namespaces", "probes", "services", "network", "dns", "policy", "workloads"]
# Which part of a node, and whether of the peers' in its place, a line of each side runs in.
SIDES: Mapping[Side, tuple[str, bool]] = {
    "node": ("main", False),
    "peer": ("main", True),
    "host": ("host", False),
    "peer-host": ("host", True),
    "ready": ("ready", False),
}


class Absent(NamedTuple):
    """What a check would look at is not there; ``what`` says what is missing."""

    what: str


OTHER_NODE = Absent("no other Ready node to talk to")
NO_DNS = Absent("no Service of DNS in this cluster")


class Facts(NamedTuple):
    """What the cluster has that checks depend on; empty where it is not there."""

    version: str = ""
    namespace: str = ""
    domain: str = "cluster.local"
    dns: str = ""
    outside: tuple[str, ...] = ()
    storage_class: str = ""
    policy_engine: str = ""
    balancer: str = ""
    user_namespaces: frozenset[str] = frozenset()
    pod_networks: Mapping[str, Sequence[str]] = {}


class Peer(NamedTuple):
    """Another node of the cluster, its pod, and the Service behind which this pod alone is."""

    name: str
    pod_ip: str
    host_ip: str = ""
    service_ip: str = ""
    node_port: int = 0


class Target(NamedTuple):
    """What a check of one node's pod may talk to; ``own`` is the node itself as its peers see it."""

    own: Peer
    service_ip: str
    peers: tuple[Peer, ...] = ()
    affine_ip: str = ""
    facts: Facts = Facts()
    number: int = 0


class JoinCheck(NamedTuple):
    """A check that is a shell line, run on one side: in the node's pods or in those of its peers.

    The line ends with status 0 where the check holds, with NOT_THERE where there is nothing to look at; what it prints
    is the reason. Lines that are ``first`` run before any other has sent anything.
    """

    name: str
    side: Side
    line: Callable[[Target], str | Absent]
    group: Group = "network"
    full: bool = True
    first: bool = False
    needs: tuple[str, ...] = ()


class Scene(Protocol):
    """What a look may ask of one node's proof."""

    target: Target
    stages: dict[str, float]

    def pod(self, part: str) -> dict[str, Any] | None:
        """Return the node's pod of a part as it was told last, or one by its name."""

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """Return what is in the proof's namespace, by kind, as it was told last."""

    def ready(self, part: str) -> str:
        """Wait until the node's pod of a part is Ready; return why it is not."""

    def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look again and again until it holds; tell whether it did in time."""

    def run(self, part: str, script: str, container: str = "") -> str:
        """Run a script in the node's pod of a part; return what it printed."""

    def call(self, *argv: str, stdin: str = "") -> str:
        """Run kubectl in the proof's namespace."""

    def fetch_forwarded(self, part: str, port: int, path: str) -> bytes:
        """Return what a pod's HTTP server answers through kubectl port-forward."""

    def delete_pod(self, part: str, seconds: float) -> str:
        """Delete the node's pod of a part in order; return why it is not gone in time."""


class Look(NamedTuple):
    """A check that looks at what the API tells; it returns why it does not hold. One that is ``last`` ends the pod."""

    name: str
    group: Group
    look: Callable[[Scene], str | Absent]
    needs: tuple[str, ...] = ("main",)
    full: bool = True
    last: bool = False


Check = JoinCheck | Look


def fetch(address: str, what: str, port: int = PORT) -> str:
    """Return a line that gets the whole body from ``address``; a Service's way there may take seconds to every node."""
    get = f"printf 'GET /body HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} {port} 2>/dev/null | wc -c"
    return (
        f"end=$(($(date +%s) + {PATIENCE_SECONDS})); "
        f'until n=$({get}); [ "$n" -ge {BODY_BYTES} ] && exit 0; [ "$(date +%s)" -ge $end ]; do sleep 0.5; done; '
        f"echo {shlex.quote(what)} sent $n of {BODY_BYTES} bytes; exit 1"
    )


def name_of(address: str, port: int = PORT) -> str:
    """Return a command that prints the name of the pod that answers at ``address``."""
    return f"printf 'GET /name HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} {port} 2>/dev/null | tail -n 1"


def resolves(name: str, address: str = "") -> str:
    """Return a line that asks the pod's own server of DNS for ``name``, and wants ``address`` among the answers."""
    wanted = f"grep -qwF '{address}'" if address else "grep -qi '^Address.*[0-9]'"
    return (
        f"end=$(($(date +%s) + {DNS_SECONDS})); "
        # The first lines tell the server itself.
        f'until a=$(nslookup -type=a {name} 2>&1 | sed 1,2d); echo "$a" | {wanted} && exit 0; '
        '[ "$(date +%s)" -ge $end ]; do sleep 1; done; '
        f"echo '{name} is not told{f' as {address}' if address else ''}: '$a; exit 1"
    )


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod is Ready, and not about to end."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def each_peer(target: Target, line: Callable[[Peer], str]) -> str | Absent:
    """Return a line that does the same for each peer, and fails where one fails."""
    if not target.peers:
        return OTHER_NODE
    return "; ".join(f"({line(peer)}) || exit $?" for peer in target.peers)


def checks(*, full: bool = False) -> tuple[Check, ...]:
    """Return the checks of a join; with ``full`` all there are."""
    return tuple(check for check in found("join") if full or not check.full)


def chosen(only: Sequence[str] = (), skip: Sequence[str] = ()) -> tuple[Check, ...]:
    """Return the checks of these names or groups, without those to skip; raises InputError for a name that is none."""
    everything = checks(full=True)
    known = {each.name for each in everything} | {each.group for each in everything} | {JOIN}
    wrong = [word for word in (*only, *skip) if word not in known]
    if wrong:
        raise InputError(
            f"there is no check {', '.join(wrong)}", hint=f"one of {', '.join(sorted(known))}; docs: reference/checks"
        )

    def named(check: Check, words: Sequence[str]) -> bool:
        return check.name in words or check.group in words or (JOIN in words and not check.full)

    return tuple(each for each in everything if (not only or named(each, only)) and not named(each, skip))


def lines(of: Iterable[Check], side: Side, *, first: bool = False) -> tuple[JoinCheck, ...]:
    """Return those of the checks that are lines of ``side``."""
    return tuple(each for each in of if isinstance(each, JoinCheck) and (each.side, each.first) == (side, first))


def script(of: Iterable[JoinCheck], target: Target) -> str:
    """Return one script that runs all lines at once; each prints ``name<TAB>status<TAB>reason<TAB>began<TAB>ended``."""
    parts = []
    for check in of:
        line = check.line(target)
        if isinstance(line, str):
            parts.append(
                f"( read -r a _ </proc/uptime; r=$( ({line}) 2>&1 ); s=$?; read -r b _ </proc/uptime; "
                f"printf '%s\\t%s\\t%.500s\\t%s\\t%s\\n' {check.name} $s \"$(echo $r)\" $a $b ) &"
            )
    return "\n".join(["set -f", *parts, "wait"]) if parts else "true"


_OUTCOMES: Mapping[str, Outcome] = {"0": "passed", str(NOT_THERE): "not there"}
_TIME = re.compile(r"[0-9.]+")


def results(of: Iterable[JoinCheck], printed: str, target: Target) -> list[Result]:
    """Return what came of each line, out of what a script printed; a check that said nothing has failed."""
    told = {line.partition("\t")[0]: line.split("\t")[1:] for line in printed.splitlines()}
    return [_result(check, told.get(check.name), check.line(target)) for check in of]


def _result(check: JoinCheck, told: list[str] | None, line: str | Absent) -> Result:
    if isinstance(line, Absent):
        return Result(check=check.name, group=check.group, outcome="not there", reason=line.what)
    if told is None:
        return Result(check=check.name, group=check.group, outcome="failed", reason="no result")
    status, reason, *times = [*told, "", ""][: max(len(told), 2)]
    outcome = _OUTCOMES.get(status, "failed")
    # What one line says while it holds is of no interest.
    reason = "" if outcome == "passed" else reason
    seconds = float(times[1]) - float(times[0]) if len(times) == 2 and all(map(_TIME.fullmatch, times)) else 0.0  # noqa: PLR2004
    return Result(check=check.name, group=check.group, outcome=outcome, reason=reason, seconds=round(seconds, 2))
