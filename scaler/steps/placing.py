"""Place the files of a master, or of an etcd member on a host of its own, and run some of its units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from scaler.errors import StepError
from scaler.gateways.files import sha256
from scaler.steps import master_credentials
from scaler.steps.base import played
from scaler.steps.voters import client_urls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Host
    from scaler.steps.base import World

ETCD = "etcd.service"
APISERVER = "kube-apiserver.service"
CONTROLLERS = ("kube-controller-manager.service", "kube-scheduler.service")
PLAYBOOKS = {"masters": "master_install.yml", "etcd": "etcd_install.yml"}
REMOVALS = {"masters": "master_remove.yml", "etcd": "etcd_remove.yml"}
_PKI = ("etcd_pki", "kube_apiserver_pki", "kube_controller_manager_pki", "kube_scheduler_pki")


def place(
    world: World,
    host: Host,
    run: Sequence[str] | None,
    *,
    etcd_servers: Sequence[str] = (),
    group: Literal["masters", "etcd"] | None = None,
    first: bool = False,
    patience: int = 0,
) -> None:
    """Place what is missing on ``host`` and start ``run`` (all units for None); raises StepError with the unit's log.

    The API server knows ``etcd_servers``, by default those it was given last, then every voter but its own member.
    ``group`` is what the plan makes of hosts, unless it is given. etcd's own configuration is written once
    ``world.initial_cluster`` knows what the member starts with; a cluster's ``first`` member starts with itself. etcd's
    start is waited for, or after ``patience`` seconds, if any, left to itself.
    """
    group = group or ("etcd" if world.plan.makes == "etcd" else "masters")
    directory = world.secrets(f"{host.name}-{group}")
    if not (directory / "ca.crt").exists():
        master_credentials.write(world.cluster, host, directory, world.clock.now(), etcd_only=group == "etcd")
    variables: dict[str, Any] = {
        "node_name": host.name,
        "node_ip": host.address,
        **dict.fromkeys(_PKI, directory),
        "etcd_wanted": group == "etcd" or world.own_etcd,
        "scaler_claim": {
            "cluster": world.cluster.name,
            "node": host.name,
            "run": world.run,
            "ca": sha256(directory / "ca.crt"),
        },
    }
    if not first:
        variables["etcd_initial_cluster"] = world.initial_cluster.get(host.name, "")
        variables["etcd_initial_cluster_state"] = "existing"
    if patience:
        variables["etcd_start_seconds"] = patience
    if run is not None:
        variables["scaler_run"] = list(run)
    if group == "masters" and not first:
        etcd_servers = etcd_servers or world.etcd_servers.get(host.name) or other_members(world, host)
        world.etcd_servers[host.name] = tuple(etcd_servers)
    if etcd_servers:
        variables["kube_apiserver_etcd_servers"] = list(etcd_servers)
    failure = played(world, PLAYBOOKS[group], group, [host], {host.name: variables}).get(host.name)
    if failure:
        raise StepError(f"{host.name}: {failure}")


def other_members(world: World, host: Host) -> list[str]:
    """Return the client URLs of all voters but ``host``'s own: what an API server starts with before its own votes."""
    members = [m for m in world.etcd.members() if m.name != host.name]
    return client_urls(members)


def taken_back(world: World, host: Host) -> None:
    """Stop the units of ``host`` and give it back as it was; raises StepError where it cannot be cleaned."""
    group = world.plan.makes
    failure = played(world, REMOVALS[group], group, [host], {}).get(host.name)
    if failure:
        raise StepError(f"{host.name} could not be cleaned: {failure}")
