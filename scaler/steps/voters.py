"""What several steps ask of etcd: whether all voters are healthy and stay so, and who is who."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import GuardError, ScalerError
from scaler.plan import quorum

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scaler.gateways.clock import Clock
    from scaler.gateways.etcd import Etcd
    from scaler.model.etcd import EtcdState, Member
    from scaler.model.inventory import Host

# etcd itself refuses a change of members within 5 s (HealthInterval) of an unhealthy moment.
HOLD_SECONDS = 6.0
PATIENCE_SECONDS = 30.0
# Entries of the log that a voter may lag behind: a write or two of every client that is at work.
CLOSE = 1000
QUOTA_BYTES = 2 << 30
FULL = 0.8


def peer_url(host: Host) -> str:
    """Return the URL at which the other members reach the one on ``host``."""
    return f"https://{_literal(host)}:2380"


def client_url(host: Host) -> str:
    """Return the URL at which clients reach the member on ``host``."""
    return f"https://{_literal(host)}:2379"


def _literal(host: Host) -> str:
    return f"[{host.address}]" if ":" in host.address else host.address


def seen(state: EtcdState, ours: Collection[int]) -> list[quorum.Seen]:
    """Return the members for the arithmetic."""
    return [
        quorum.Seen(m.called, voter=not m.learner, healthy=m.id in state.healthy, ours=m.id in ours)
        for m in state.members
    ]


def unfit(state: EtcdState, ours: Collection[int]) -> str:
    """Return why no member may be added now, with the arithmetic; empty where one may."""
    told = quorum.refusal(seen(state, ours), quorum.Request("add", "new"))
    if told:
        return told
    told = _unwell(state, state.voters)
    if told:
        return told
    size = max(state.status[m.id].db_size for m in state.voters)
    if size > FULL * QUOTA_BYTES:
        return f"the database has {size >> 20} MiB, more than {FULL:.0%} of etcd's default quota"
    return ""


def unfit_to_shrink(state: EtcdState, ours: Collection[int], going: Collection[str]) -> str:
    """Return why the members with the peer URLs ``going`` may not leave now; what ails only them does not count."""
    leaving = [m.called for m in state.members if set(going) & set(m.peer_urls)]
    told = quorum.leaving(seen(state, ours), leaving)[1] if leaving else quorum.lost(seen(state, ours))
    staying = [m for m in state.voters if m.called not in leaving and m.id in state.healthy]
    return told or _unwell(state, staying)


def _unwell(state: EtcdState, voters: Sequence[Member]) -> str:
    """Return which of ``voters`` has an alarm or lags behind, or that nobody leads."""
    by_id = {m.id: m.called for m in voters}
    others = {m.id for m in state.members} - set(by_id)
    alarms = [alarm for alarm in state.alarms if alarm.member not in others]
    if alarms:
        raised = ", ".join(f"{alarm.called} of {by_id.get(alarm.member, alarm.member)}" for alarm in alarms)
        return f"etcd has an alarm: {raised}"
    if state.leader is None:
        return "the voters do not agree on a leader"
    applied = [state.status[m.id].applied for m in voters]
    if max(applied) - min(applied) > CLOSE:
        return f"a voter lags {max(applied) - min(applied)} entries behind"
    return ""


def steady(
    etcd: Etcd,
    clock: Clock,
    ours: Collection[int],
    *,
    hold: float = HOLD_SECONDS,
    going: Collection[str] | None = None,
) -> EtcdState:
    """Look until everything has been fit for ``hold`` seconds on end and the term did not change; return the last look.

    ``going`` are the peer URLs of members that leave, where none is added; what ails only them does not count.
    Raises GuardError with the arithmetic where that does not come about in half a minute; at once where waiting cannot
    help: a foreign learner, an alarm.
    """
    end = clock.monotonic() + PATIENCE_SECONDS
    since: float | None = None
    term = -1
    while True:
        state, why, hint = _look(etcd, ours, going)
        now = clock.monotonic()
        current = max((s.header.raft_term for s in state.status.values()), default=-1) if state else -1
        if why or since is None or current != term:
            since, term = None if why else now, current
        if state and since is not None and now - since >= hold:
            return state
        hopeless = state is not None and ("learner" in why or "alarm" in why)
        if hopeless or (why and now >= end) or now >= end + hold:
            raise GuardError(
                f"etcd does not stand firm, no member can be {'added' if going is None else 'taken out'} now: "
                f"{why or 'its term keeps changing'}",
                hint=hint or _remedy(why),
            )
        clock.sleep(min(1.0, hold))


def _look(etcd: Etcd, ours: Collection[int], going: Collection[str] | None) -> tuple[EtcdState | None, str, str]:
    """Return what was seen, why no member may be changed now, and what to do where etcd itself told."""
    try:
        state = etcd.look()
    except ScalerError as e:
        return None, f"etcd does not answer: {e.message}", e.hint
    return state, unfit(state, ours) if going is None else unfit_to_shrink(state, ours, going), ""


def _remedy(why: str) -> str:
    if "learner" in why:
        return "finish or remove it first: etcdctl member list, etcdctl member remove ID"
    if "alarm" in why:
        return "etcdctl alarm list; after making room: etcdctl defrag, etcdctl alarm disarm"
    return "bring the unhealthy voter back, or take that one out first"


def client_urls(members: Sequence[Member], first: Host | None = None) -> list[str]:
    """Return the client URLs of all voters, the one of ``first`` at the head."""
    urls = sorted(m.client_urls[0] for m in members if not m.learner and m.client_urls)
    mine = client_url(first) if first else ""
    return [url for url in urls if url == mine] + [url for url in urls if url != mine]


def same_data(etcd: Etcd, state: EtcdState) -> str:
    """Return which healthy voter's data is not the others' at one revision; empty where all are the same."""
    voters = [m for m in state.voters if m.id in state.healthy]
    revision = min(state.status[m.id].header.revision for m in voters)
    hashes = etcd.hashes(voters, revision)
    compacted = max((told.compact_revision for told in hashes.values()), default=0)
    # Members compact at their own pace; only those at the same point have the same digest.
    comparable = {m.called: hashes[m.id].hash for m in voters if m.id in hashes}
    level = all(told.compact_revision == compacted for told in hashes.values())
    if level and len(set(comparable.values())) > 1:
        told = ", ".join(f"{name} {value:x}" for name, value in comparable.items())
        return f"the voters' data differs at revision {revision}: {told}"
    return ""
