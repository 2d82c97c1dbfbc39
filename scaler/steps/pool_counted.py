"""Which Nodes of a pool came and went since the change began: told with the outcome, noted for who goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from scaler.model.pools import Instance
    from scaler.model.state import Node
    from scaler.steps.clouds import CloudWorld


def there(instances: Iterable[Instance], nodes: Iterable[Node]) -> dict[str, str]:
    """Return the UIDs, by name, of the Nodes that have one of ``instances``; one that leaves is nobody's any more."""
    return uids([each for each in instances if each.state != "leaving"], nodes)


def uids(instances: Sequence[Instance], nodes: Iterable[Node]) -> dict[str, str]:
    """Return the UIDs, by name, of the Nodes that have one of ``instances``."""
    return {
        node.name: node.metadata.uid
        for node in nodes
        if any(each.is_node(node.name, node.spec.provider_id) for each in instances)
    }


def count(world: CloudWorld, ready: Mapping[str, str], present: Mapping[str, str]) -> None:
    """Tell which Nodes are ``ready`` that were not there, and which that were are not ``present`` any more."""
    first = world.plan.wants.there
    if first is None:
        # An older scaler has planned it, and nobody knows what was there.
        return
    added = {name: uid for name, uid in ready.items() if first.get(name) != uid}
    _tell(world, added, [name for name, uid in first.items() if present.get(name) != uid])


def ended(world: CloudWorld, names: Iterable[str]) -> None:
    """Take back that ``names`` came: their machines have been ended again."""
    gone, measures = set(names), world.measures
    if "added" in measures:
        added = {name: uid for name, uid in measures["added"].items() if name not in gone}
        _tell(world, added, measures["removed"])


def _tell(world: CloudWorld, added: Mapping[str, str], removed: Sequence[str]) -> None:
    world.measures |= {"added": dict(added), "removed": list(removed)}
    first = world.plan.wants.there or {}
    # What has been told once is not to be told again by the run that goes on with this one.
    world.note({"there": {name: uid for name, uid in first.items() if name not in removed} | dict(added)})
