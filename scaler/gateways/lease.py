"""The cluster's Lease ``kube-system/scaler``: one change at a time, from whichever machine.

A write names the version that was read, so of two writers one is refused. A Lease without a holder is free.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scaler.errors import LockedError
from scaler.gateways.kube import KubeError
from scaler.model.base import Value
from scaler.model.holder import Holder

if TYPE_CHECKING:
    from scaler.gateways.kube import Kube

NAME, NAMESPACE = "scaler", "kube-system"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_PATH = f"{LEASES}/{NAME}"
# Annotations, for who has another program than this one: kubectl -n kube-system describe lease scaler.
_RUN, _CHANGE, _SINCE, _FROM = (f"scaler.dev/{word}" for word in ("run", "change", "since", "from"))
# One attempt to write ends by then, so that a Lease can be tried for several times before it runs out.
_REQUEST_SECONDS = 8
_TIMEOUT = f"--request-timeout={_REQUEST_SECONDS}s"


class Held(Value):
    """A Lease that somebody holds, as it was seen; ``version`` is the server's, and changes with each write."""

    holder: Holder
    seconds: int
    renewed: datetime
    version: str

    def ends_in(self, now: datetime) -> float:
        """Return the seconds until it runs out, by this machine's clock; below 0 where it has."""
        return (self.renewed + timedelta(seconds=self.seconds) - now).total_seconds()

    def told(self, now: datetime) -> str:
        """Tell a person who holds it, and whether it still lives."""
        left = self.ends_in(now)
        ends = f"its lease runs out in {left:.0f} s" if left > 0 else f"its lease ran out {-left:.0f} s ago"
        return f"{self.holder.sentence}; {ends}"


class Seen(Value):
    """The Lease at one moment: the server's version of it, none where there is none, and who holds it."""

    version: str = ""
    held: Held | None = None


class TakenError(LockedError):
    """Somebody else wrote the Lease in between, or took it away."""


def look(kube: Kube) -> Held | None:
    """Return the Lease as it is held, or None where nobody holds it; only reads, once."""
    return read(kube).held


def read(kube: Kube) -> Seen:
    """Read the Lease, held or free."""
    try:
        told = json.loads(kube.call(["get", f"--raw={_PATH}", _TIMEOUT], timeout=_REQUEST_SECONDS + 2))
    except KubeError as e:
        if "(NotFound)" in e.message:
            return Seen()
        raise
    return Seen(version=_version(told), held=_held(told))


def write(kube: Kube, holder: Holder, seconds: int, now: datetime, version: str) -> Held:
    """Hold the Lease for ``holder`` from ``now`` on, if ``version`` still is the Lease's; "" where there is none.

    Raises TakenError where it is not. An UnreachableError leaves open whether it was written: look again.
    """
    annotations = {
        _RUN: holder.run,
        _CHANGE: holder.doing,
        _SINCE: _time(holder.since),
        _FROM: f"{holder.user}@{holder.host}, process {holder.pid}",
    }
    spec = {
        "holderIdentity": holder.identity,
        "leaseDurationSeconds": seconds,
        "acquireTime": _time(holder.since),
        "renewTime": _time(now),
    }
    told = _put(kube, version, annotations, spec)
    return Held(holder=holder, seconds=seconds, renewed=now, version=_version(told))


def free(kube: Kube, held: Held) -> None:
    """Take the holder out, if the Lease still is as ``held`` was read; raises TakenError where it is not."""
    _put(kube, held.version, {}, {"leaseDurationSeconds": held.seconds, "renewTime": _time(held.renewed)})


def _put(kube: Kube, version: str, annotations: dict[str, str], spec: dict[str, Any]) -> dict[str, Any]:
    lease: dict[str, Any] = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "annotations": annotations},
        "spec": spec,
    }
    verb = ["create", f"--raw={LEASES}"]
    if version:
        # Without the UID the API would make a Lease anew that somebody deleted, and nobody would be told.
        lease["metadata"]["uid"], lease["metadata"]["resourceVersion"] = version.split("/")
        verb = ["replace", f"--raw={_PATH}"]
    argv = [*verb, "-f", "-", _TIMEOUT]
    try:
        told: dict[str, Any] = json.loads(kube.call(argv, stdin=json.dumps(lease), timeout=_REQUEST_SECONDS + 2))
    except KubeError as e:
        if any(sign in e.message for sign in ("(Conflict)", "(AlreadyExists)", "(NotFound)")):
            raise TakenError(f"somebody else wrote the lease in between: {e.message}") from e
        raise
    return told


def _version(lease: dict[str, Any]) -> str:
    return f"{lease['metadata']['uid']}/{lease['metadata']['resourceVersion']}"


def _held(lease: dict[str, Any]) -> Held | None:
    """Read a Lease; one that is written by something else is held by whatever it says."""
    meta, spec = lease["metadata"], lease["spec"]
    identity = spec.get("holderIdentity")
    if not identity:
        return None
    annotations = meta.get("annotations", {})
    who, _, rest = identity.partition("/")
    user, at, host = who.rpartition("@")
    pid = rest.partition("/")[0]
    renewed = spec.get("renewTime") or spec.get("acquireTime") or meta["creationTimestamp"]
    try:
        holder = Holder(
            user=user or identity,
            host=host if at else "an unknown host",
            pid=int(pid) if pid.isdecimal() else 0,
            since=annotations.get(_SINCE) or spec.get("acquireTime") or renewed,
            doing=annotations.get(_CHANGE) or "something that it does not tell",
            run=annotations.get(_RUN, ""),
        )
        return Held(
            holder=holder,
            seconds=spec.get("leaseDurationSeconds") or 60,
            renewed=renewed,
            version=_version(lease),
        )
    except ValidationError as e:
        raise KubeError(f"the lease {NAMESPACE}/{NAME} cannot be read: {e}") from e


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
