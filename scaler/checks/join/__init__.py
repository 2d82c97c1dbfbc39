"""Proof that work runs on a node that joined: each check is a shell line in a pod, on the node or on an old one.

The lines use a busybox's applets only (sh, date, nc, wc, httpd), so any small image serves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from scaler.checks import found

PORT = 8080
# More than any MTU, so that a link which loses full-sized packets shows (TCP forbids their fragmentation).
BODY_BYTES = 65536
# The controller manager tells who is behind a Service, then every kube-proxy writes its rules: each in its own time.
PATIENCE_SECONDS = 15


class Target(NamedTuple):
    """What a check of one node's pod may talk to."""

    node: str
    pod_ip: str
    service_ip: str
    peer: str
    peer_ip: str


class JoinCheck(NamedTuple):
    """A check: its name, where its line runs (in the new node's pod or the peer's), and the line, if it applies.

    The line ends with status 0 where the check holds; what it prints otherwise is the reason.
    """

    name: str
    side: Literal["node", "peer"]
    line: Callable[[Target], str | None]


def fetch(address: str, what: str) -> str:
    """Return a line that gets the whole body from ``address``; a Service's way there may take seconds to every node."""
    get = f"printf 'GET /body HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} {PORT} 2>/dev/null | wc -c"
    return (
        f"end=$(($(date +%s) + {PATIENCE_SECONDS})); "
        f'until n=$({get}); [ "$n" -ge {BODY_BYTES} ] && exit 0; [ "$(date +%s)" -ge $end ]; do sleep 0.5; done; '
        f"echo '{what} sent '$n' of {BODY_BYTES} bytes'; exit 1"
    )


def checks() -> tuple[JoinCheck, ...]:
    """Return all checks."""
    return found("join")


def script(side: str, target: Target) -> str:
    """Return one script with all checks of ``side``; each prints a line ``name<TAB>status<TAB>reason``."""
    parts = []
    for check in checks():
        line = check.line(target)
        if check.side == side and line is not None:
            parts.append(f"r=$( ({line}) 2>&1 ); printf '%s\\t%s\\t%s\\n' {check.name} $? \"$(echo $r)\"")
    return "\n".join(parts) or "true"


def failures(printed: str, target: Target, side: str) -> list[str]:
    """Return what failed, out of what a script printed; a check that said nothing has failed."""
    told = {}
    for line in printed.splitlines():
        name, _, rest = line.partition("\t")
        told[name] = rest.partition("\t")
    wanted = [c.name for c in checks() if c.side == side and c.line(target) is not None]
    missing = [f"{name}: no result" for name in wanted if name not in told]
    return missing + [f"{name}: {told[name][2]}" for name in wanted if name in told and told[name][0] != "0"]
