"""Put together what each member of etcd told of itself; no member speaks for another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from scaler.errors import ScalerError
from scaler.gateways.etcd import EtcdError, SilentError
from scaler.model.etcd import Member, Status
from scaler.model.status import EtcdSeen, MemberSeen, Unknown
from scaler.steps.voters import QUOTA_BYTES, client_url, peer_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaler.app.status_hosts import HostLook
    from scaler.model.inventory import Cluster, Host

_ALARM = re.compile(r"memberID:(\d+)\s+alarm:(\w+)")


def put_together(cluster: Cluster, looks: Mapping[str, HostLook]) -> tuple[EtcdSeen, list[Unknown]]:
    """Return etcd, and what of it is not known; where nobody has the list, the inventory's hosts stand for it."""
    listed, unknown = _listed(cluster, looks)
    told = {host.name: looks[host.name].member for host in cluster.etcd}
    status = {name: seen for name, seen in told.items() if isinstance(seen, Status)}
    newest = max((s.raft_index for s in status.values()), default=0)
    raised = {found for s in status.values() for error in s.errors for found in _ALARM.findall(error)}
    # A member whom the others no longer hear still names itself or nobody: only those that are well elect.
    well = {name for name in status if looks[name].health == ""}
    leaders = {status[name].leader for name in well}
    leader = leaders.pop() if len(leaders) == 1 else 0
    seen = []
    for member, host in listed:
        alarms = tuple(sorted(alarm for owner, alarm in raised if int(owner) == member.id))
        base = MemberSeen(
            name=host.name if host else member.called,
            id=member.hex if member.id else "",
            url=(*member.client_urls, *member.peer_urls, "")[0],
            learner=member.learner,
            leader=bool(leader) and member.id == leader,
            alarms=alarms,
        )
        if host is None:
            unknown.append(
                Unknown(what=f"etcd member {base.name}", why="its host is not in the inventory's group etcd")
            )
            seen.append(base)
        else:
            seen.append(base.model_copy(update=_own(looks[host.name], newest, learner=member.learner)))
            if seen[-1].healthy is None and not looks[host.name].away:
                unknown.append(Unknown(what=f"etcd member {base.name}", why=seen[-1].why))
    return EtcdSeen(members=tuple(seen), leader=next((m.name for m in seen if m.leader), "")), unknown


def _listed(cluster: Cluster, looks: Mapping[str, HostLook]) -> tuple[list[tuple[Member, Host | None]], list[Unknown]]:
    """Return the members with their hosts, as a member that is well lists them before one that is not."""
    order = sorted(cluster.etcd, key=lambda host: looks[host.name].health != "")
    by_url = {url: host for host in cluster.etcd for url in (client_url(host), peer_url(host))}
    for host in order:
        members = looks[host.name].members
        if not isinstance(members, ScalerError):
            return [
                (m, next((by_url[u] for u in (*m.client_urls, *m.peer_urls) if u in by_url), None)) for m in members
            ], []
    stand_in: list[tuple[Member, Host | None]] = [
        (
            Member(
                id=_id(looks[host.name].member),
                name=host.name,
                peer_urls=(peer_url(host),),
                client_urls=(client_url(host),),
                learner=isinstance(told := looks[host.name].member, Status) and told.learner,
            ),
            host,
        )
        for host in cluster.etcd
    ]
    why = next((m.message for h in order if isinstance(m := looks[h.name].members, ScalerError)), "nobody was asked")
    return stand_in, [Unknown(what="etcd's member list", why=why)]


def _id(told: Status | ScalerError) -> int:
    return told.header.member_id if isinstance(told, Status) else 0


def _own(look: HostLook, newest: int, *, learner: bool) -> dict[str, object]:
    """Return what a member tells of itself."""
    status = look.member
    if look.away:
        return {"healthy": None, "why": look.away}
    if isinstance(status, ScalerError):
        # Only etcd's own refusal is a sign of illness: an answer that was lost or late is none.
        ill = isinstance(status, EtcdError | SilentError)
        return {"healthy": False if ill else None, "why": status.message}
    quota = look.running.quota if not isinstance(look.running, ScalerError) else 0
    # A learner answers no linearizable read: that it tells its status is all there is.
    health: str | ScalerError = "" if learner else look.health
    return {
        "healthy": None if isinstance(health, ScalerError) else not health,
        "why": health.message if isinstance(health, ScalerError) else f"/health: {health}" if health else "",
        "version": status.version,
        "db_bytes": status.db_size,
        "quota_bytes": status.quota or quota or QUOTA_BYTES,
        "term": status.header.raft_term,
        "lag": max(0, newest - status.raft_index),
    }
