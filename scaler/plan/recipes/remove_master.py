"""Take masters away, one after the other, whole; until the member is taken out everything can be taken back.

    etcd stands firm → snapshot → the others' etcd lists → VIP → load balancers → pods → kubelet → control plane
    → leader → MEMBER OUT (from here on only forward) → etcd stopped → etcd stands firm
    → Node → host wiped → VIP let go → all sets equal → inventory

The others' lists come first: of two masters the one that stays could not be set aside for its restart any more once the
leaving one is out of the load balancers. A dead host is never contacted; the load balancers forget it first, since none
of them is seen to serve while a backend is down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scaler.errors import GuardError
from scaler.plan import quorum
from scaler.plan.plan import Plan, StepSpec
from scaler.plan.recipes.remove_node import with_network

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from scaler.model.inventory import Cluster, Host
    from scaler.plan.plan import Drain, Seen
    from scaler.plan.pods import Leaving

FIRM = ("etcd_steady", "etcd_snapshot", "etcd_lists_rolled")
FRONT = ("vip_moved", "balancers_without")
NODE = ("nodes_cordoned", "nodes_drained")
SERVICE = ("kubelet_stopped", "control_plane_stopped")
MEMBER = ("leader_moved", "member_removed")
STOPPED = ("member_stopped", "etcd_steady")
END = ("nodes_deleted", "hosts_wiped", "vip_let_go", "sets_equal", "inventory_pruned")
DEAD = (
    "etcd_steady",
    "etcd_snapshot",
    "balancers_without",
    "etcd_lists_rolled",
    "member_removed",
    "nodes_drained",
    *(step for step in END if step != "vip_let_go"),
)


# etcd asks no API; nothing else can be changed without one.
WITHOUT_API = ("etcd_steady", "etcd_snapshot", "member_removed", "rest_left")


class Going(NamedTuple):
    """What was seen of the hosts that leave, in the order in which they do.

    ``voting`` are those that are members of etcd still, by name; ``dead`` whether all of them are; ``absent`` names
    that were given and are in no set any more. ``network``: the network keeps something for nodes that are gone;
    ``api``: the API answered.
    """

    hosts: tuple[Host, ...]
    voting: frozenset[str]
    voters: int
    dead: bool = False
    absent: tuple[str, ...] = ()
    seen: Mapping[str, Seen] = {}
    pods: tuple[Leaving, ...] = ()
    warnings: tuple[str, ...] = ()
    network: bool = False
    api: bool = True


def plan(cluster: Cluster, going: Going, *, drain: Drain, allow_even: bool) -> Plan:
    """Return the plan that takes the masters away; empty where all of them are absent."""
    told = aloud(going, allow_even=allow_even) if cluster.own_etcd else []
    return Plan(
        change="remove-master",
        cluster=cluster.name,
        hosts=going.hosts,
        steps=steps(cluster, going),
        present=going.absent,
        warnings=(*going.warnings, *told),
        untouched=_untouched(cluster, going),
        on_failure="stop" if going.dead else "undo",
        leaves="masters",
        dead=tuple(host.name for host in going.hosts) if going.dead else (),
        drain=drain,
        allow_even=allow_even,
        seen=dict(going.seen),
        pods=going.pods,
        without_api=not going.api,
    )


def _untouched(cluster: Cluster, going: Going) -> str:
    if not going.api:
        return "all but etcd's list of members, since the API does not answer"
    return "workers, but for their own load balancers" if cluster.settings.loadbalancer == "local" else "workers"


def steps(cluster: Cluster, going: Going) -> tuple[StepSpec, ...]:
    """Return the steps: dead hosts leave together, living ones one after the other."""
    if going.dead:
        names = tuple(host.name for host in going.hosts)
        dead = with_network(_of(cluster, DEAD), network=going.network) if going.api else WITHOUT_API
        return tuple(StepSpec(step=name, hosts=names) for name in dead if names)
    return tuple(
        StepSpec(step=name, hosts=(host.name,))
        for host in going.hosts
        for name in with_network(_living(cluster, host, going), network=going.network)
    )


def _living(cluster: Cluster, host: Host, going: Going) -> tuple[str, ...]:
    node = NODE if going.seen.get(host.name) is None or going.seen[host.name].uid else ()
    if cluster.own_etcd and host.name not in going.voting:
        # An earlier run, or somebody by hand, has taken its member out: it is never put back. No more is known of it.
        out = ("member_removed",) if host.name in {each.name for each in cluster.etcd} else ()
        return (*out, "etcd_lists_rolled", *FRONT, *node, *SERVICE, *STOPPED, *END)
    return _of(cluster, (*FIRM, *FRONT, *node, *SERVICE, *MEMBER, *STOPPED, *END))


def _of(cluster: Cluster, names: Sequence[str]) -> tuple[str, ...]:
    """Return the steps without etcd's own where it stands on other hosts."""
    return tuple(n for n in names if cluster.own_etcd or n not in {*FIRM, *MEMBER, *STOPPED})


def aloud(going: Going, *, allow_even: bool) -> list[str]:
    """Say where the cluster tolerates no failure on the way; refuse an even end that is not wanted."""
    leaving = [host.name for host in going.hosts if host.name in going.voting]
    final = going.voters - len(leaving)
    why = quorum.even(final) if leaving else ""
    if why and not allow_even:
        raise GuardError(
            f"etcd would end with an even number of voters: {why}",
            hint="say --allow-even; or replace it (scaler replace-master), or take one more out in the same command",
        )
    told = [why] if why else []
    for number, name in enumerate(leaving, 1):
        now = going.voters - number
        if quorum.tolerance(now) == 0:
            told.append(
                f"once {name} is out there are {now} voters and quorum is {quorum.quorum(now)}: "
                "the cluster tolerates no failure"
            )
    return told


def may_be_asked_elsewhere(cluster: Cluster, leaving: Sequence[Host]) -> None:
    """Refuse to take away the master at whose own address everybody asks the API."""
    settings = cluster.settings
    for host in leaving:
        if settings.api_host in {host.name, host.address} and not settings.vip:
            raise GuardError(
                f"api_endpoint {settings.api_endpoint} is {host.name}'s own: nobody would reach the API any more",
                hint="point api_endpoint, and who uses it, at a load balancer, a VIP or a master that stays; see "
                "docs/reference/load-balancers.md",
            )


def may_stay(cluster: Cluster, group: str, leaving: Collection[str], *, joining: bool = False) -> None:
    """Refuse to take the last master, the last member of etcd, or the last load balancer away."""
    what = {"masters": "master", "etcd": "member of etcd"}
    for name in (group, *(("etcd",) if group == "masters" and cluster.own_etcd else ())):
        members = {host.name for host in getattr(cluster, name)}
        if members and not members - set(leaving) and not joining:
            raise GuardError(f"{', '.join(sorted(members & set(leaving)))} is the last {what[name]}; it never leaves")
    fronts = {host.name for host in cluster.loadbalancers}
    if group == "masters" and fronts and not fronts - set(leaving):
        raise GuardError(
            f"{', '.join(sorted(fronts))} is the last load balancer, which would leave with it",
            hint="put another host under 'loadbalancers' first: ansible-playbook playbooks/loadbalancer_install.yml",
        )
