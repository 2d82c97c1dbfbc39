"""What a new member of etcd starts with, told from what the member list says now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scaler.model.etcd import Member


def initial_cluster(members: tuple[Member, ...], name: str, peer_url: str) -> str:
    """Return etcd's initial-cluster for the new member out of the answer to ``member add``.

    Every URL of every member that has started, and the new one under its own name (which the list does not have yet).
    """
    others = [f"{m.name}={url}" for m in members if m.name and peer_url not in m.peer_urls for url in m.peer_urls]
    return ",".join([*others, f"{name}={peer_url}"])
