"""Read the sets of a cluster from where they are true: etcd, the running API servers, the running load balancers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.checks import masters
from scaler.errors import UnreachableError
from scaler.gateways.kube import nodes
from scaler.gateways.ssh import each
from scaler.plan.equality import Row, Table
from scaler.steps.balancing import doors, driver_of, living
from scaler.steps.voters import client_url

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from scaler.model.inventory import Host
    from scaler.steps.base import World

ROLES = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def look(world: World, *, everywhere: bool = True, configured: bool = False, gone: Collection[Host] = ()) -> Table:
    """Return every set; hosts by name where the inventory or this plan has one for the address.

    Without ``everywhere`` balancers of every worker are not asked; one that cannot be reached is noted for later. A
    balancer's set are the backends it has up, or with ``configured`` all that it knows. Hosts that are ``gone`` are not
    asked, and the future inventory is without them.
    """
    away = {host.name for host in gone}
    cluster, plan = world.cluster, world.plan
    known = [*cluster.hosts().values(), *plan.hosts]
    by_address = {host.address: host.name for host in known}
    by_url = {client_url(host): host.name for host in known}
    members = world.etcd.members()
    voters = [by_url.get(m.client_urls[0], m.called) if m.client_urls else m.called for m in members if not m.learner]
    new_etcd = [h for h in plan.hosts if h.name in voters] if plan.makes == "etcd" or cluster.own_etcd else []
    etcd_rows = [Row(title="etcd's voters", hosts=_sorted(voters), of_etcd=True)]
    serving = [master for master in world.masters if master.name not in away]
    for master in serving:
        if master.name not in world.later:
            urls = masters.look(world.ssh, master).etcd_servers
            names = _sorted(by_url.get(url, url) for url in urls)
            etcd_rows.append(Row(title=f"etcd list of {master.name}", hosts=names, of_etcd=True))
    etcd_rows.append(
        Row(title="etcd in the inventory", hosts=_names(_without(away, [*cluster.etcd, *new_etcd])), of_etcd=True)
    )
    rows = [Row(title="masters", hosts=_names(serving))]
    rows += _backends(world, by_address, away, everywhere=everywhere, configured=configured)
    labelled = [node.name for node in nodes(world.kube) if any(role in node.metadata.labels for role in ROLES)]
    rows.append(Row(title="nodes with the role", hosts=_sorted(labelled)))
    new = [h for h in plan.hosts if h in world.masters] if plan.makes == "masters" else []
    rows.append(Row(title="masters in the inventory", hosts=_names(_without(away, [*cluster.masters, *new]))))
    return Table(rows=(*etcd_rows, *rows), learners=sum(m.learner for m in members))


def _without(away: Collection[str], hosts: Iterable[Host]) -> list[Host]:
    return [host for host in hosts if host.name not in away]


def _backends(
    world: World, by_address: dict[str, str], away: Collection[str], *, everywhere: bool, configured: bool
) -> list[Row]:
    driver, open_doors = driver_of(world), doors(world)
    if driver.everywhere and not everywhere:
        return []
    asked = {balancer.name: balancer for balancer in living(world, {*world.later, *away})}

    def serving(name: str) -> Row:
        told = [backend.address for backend in driver.serving(open_doors, asked[name]) if backend.up or configured]
        return Row(title=f"backends of {name}", hosts=_sorted(by_address.get(address, address) for address in told))

    told = each(asked, serving)
    rows = []
    for name, row in told.items():
        if isinstance(row, Row):
            rows.append(row)
        elif driver.everywhere and isinstance(row, UnreachableError):
            world.later[name] = row.message
        else:
            raise row
    return rows


def _names(hosts: Iterable[Host]) -> tuple[str, ...]:
    return _sorted({host.name for host in hosts})


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
