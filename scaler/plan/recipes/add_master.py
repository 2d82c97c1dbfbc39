"""Add masters, one at a time; what can fail is tried while everything can still be taken back.

    etcd stands firm → snapshot → everything staged → load balancers and API server rehearsed
    → learner added → started → caught up → PROMOTED (from here on nothing is undone)
    → control plane → load balancers → its own node, as a worker's → the others' etcd lists → all sets equal → inventory

Where etcd stands on hosts of its own the learner's part is left out. A host that votes already, or that the load
balancers send to, goes on behind the promotion.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from scaler.errors import GuardError, PreflightError
from scaler.plan import quorum
from scaler.plan.plan import Plan, StepSpec
from scaler.plan.recipes import add_node

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import ClusterState
    from scaler.plan.plan import Living

REHEARSAL = ("etcd_steady", "etcd_snapshot", "master_staged", "balancers_rehearsed", "apiserver_rehearsed")
MEMBER = ("learner_added", "learner_started", "learner_caught_up", "member_promoted")
SERVICE = ("control_plane_started", "balancers_updated")
# The others' restarts come last: a controller manager that lost its API server allocates nothing for half a minute.
END = ("etcd_lists_rolled", "sets_equal", "inventory_written")


class Standing(Enum):
    """What a host is to the control plane before the change."""

    NEW = "new"
    SERVING = "votes, or is behind a load balancer, by an earlier run"
    PRESENT = "a master already"


def standing(host: Host, cluster: Cluster, voters: Collection[str], backends: Collection[str]) -> Standing:
    """Tell what ``host`` is; ``voters`` and ``backends`` are hosts by name, as etcd and the load balancers say.

    Raises PreflightError where a load balancer would send to a host that is still to be tried.
    """
    if any(host.name == master.name for master in cluster.masters):
        return Standing.PRESENT
    if host.name in voters or (host.name in backends and not cluster.own_etcd):
        return Standing.SERVING
    if host.name in backends:
        raise PreflightError(
            f"a load balancer knows {host.name} already, which does not vote in etcd: it would get connections untried",
            hint="take it out of the load balancers' configuration first; nothing was touched",
        )
    return Standing.NEW


def plan(
    cluster: Cluster,
    state: ClusterState,
    hosts: Sequence[Host],
    stands: dict[str, Standing],
    *,
    voters: Collection[str],
    allow_even: bool,
    warnings: Sequence[str] = (),
    living: Living = add_node.NOTHING,
) -> Plan:
    """Return the plan that makes masters of ``hosts``, one after the other; empty where all of them are there."""
    changing = [host for host in hosts if stands[host.name] is not Standing.PRESENT]
    told = aloud([h.name for h in changing], voters, allow_even=allow_even) if cluster.own_etcd else []
    steps = [step for host in changing for step in _steps(host, cluster, state, stands[host.name], living)]
    return Plan(
        change="add-master",
        cluster=cluster.name,
        hosts=tuple(changing),
        steps=tuple(steps),
        present=tuple(host.name for host in hosts if stands[host.name] is Standing.PRESENT),
        warnings=(*warnings, *told) if changing else tuple(warnings),
        untouched=(
            "workers, but for their own load balancers; " if cluster.settings.loadbalancer == "local" else "workers; "
        )
        + "the members of etcd that are there are never restarted",
        on_failure="undo",
        allow_even=allow_even,
        makes="masters",
        follows=living.follows,
    )


def _steps(host: Host, cluster: Cluster, state: ClusterState, stands: Standing, living: Living) -> list[StepSpec]:
    rehearsal = REHEARSAL if cluster.own_etcd else tuple(name for name in REHEARSAL if name != "etcd_snapshot")
    before = (*rehearsal, *(MEMBER if cluster.own_etcd else ())) if stands is Standing.NEW else ()
    node = add_node.standing(host, cluster, state)
    joined = node in {add_node.Standing.ADOPTED, add_node.Standing.PRESENT}
    its_node = ("join_verified",) if joined else _joining(living)
    return [StepSpec(step=name, hosts=(host.name,)) for name in (*before, *SERVICE, *its_node, *END)]


def _joining(living: Living) -> tuple[str, ...]:
    return tuple(name for name in add_node.steps(network=living.works) if name != "inventory_written")


def aloud(new: Sequence[str], voters: Collection[str], *, allow_even: bool) -> list[str]:
    """Say where the cluster tolerates no failure on the way; refuse an even end that is not wanted."""
    count = len(voters)
    joining = [name for name in new if name not in voters]
    final = count + len(joining)
    why = quorum.even(final)
    if why and joining and not allow_even:
        raise GuardError(
            f"etcd would end with an even number of voters: {why}",
            hint="add one more in the same command, or say --allow-even",
        )
    told = [why] if why and joining else []
    for number, name in enumerate(joining, 1):
        now = count + number
        if quorum.tolerance(now) == 0:
            until = f" until {joining[number]} votes" if number < len(joining) else ""
            told.append(
                f"once {name} votes there are {now} voters and quorum is {quorum.quorum(now)}: "
                f"the cluster tolerates no failure{until}"
            )
    return told
