"""Replace a master by another as one plan, made of the two recipes.

A dead one leaves first, since no member is added while a voter is down. A living one stays until the new one serves, so
that there are never fewer masters than before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.plan.plan import Plan

if TYPE_CHECKING:
    from scaler.model.inventory import Cluster


CHANGE = "replace-master"


def plan(cluster: Cluster, removal: Plan, addition: Plan | None) -> Plan:
    """Return both as one; ``addition`` is None, or empty, where the new master is there already."""
    joining = addition.hosts if addition else ()
    added = addition.steps if addition else ()
    first_out = bool(removal.dead)
    warnings = (*removal.warnings, *(addition.warnings if addition else ()))
    return Plan(
        change=CHANGE,
        cluster=cluster.name,
        hosts=(*removal.hosts, *joining) if first_out else (*joining, *removal.hosts),
        steps=(*removal.steps, *added) if first_out else (*added, *removal.steps),
        present=removal.present,
        warnings=tuple(dict.fromkeys(warnings)),
        untouched=addition.untouched if addition else removal.untouched,
        # A new master that fails is given back; what has left is committed, and stays out.
        on_failure="undo",
        makes="masters",
        leaves="masters",
        joins=tuple(host.name for host in joining),
        dead=removal.dead,
        drain=removal.drain,
        seen=removal.seen,
        pods=removal.pods,
        follows=addition.follows if addition else {},
        without_api=removal.without_api,
    )
