"""A cluster as its inventory describes it: who the hosts are, how they are reached, what is to run on them."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from scaler.model import versions
from scaler.model.base import Value
from scaler.model.machine_pools import Carried, MachinePool, PoolName, carried
from scaler.model.names import (
    Address,
    ArchivePath,
    Domain,
    Endpoint,
    ImageName,
    Network,
    NodeName,
    Port,
    RemotePath,
    User,
    Version,
    Word,
)


class Connection(Value):
    """How a host is reached; Ansible and paramiko both read this."""

    address: Address
    user: User = "root"
    port: Port = 22
    key: Path | None = None
    jump: Endpoint | None = None
    jump_user: User = "root"
    python: RemotePath = "/usr/bin/python3"

    @property
    def needs_sudo(self) -> bool:
        """Tell whether a root command goes through sudo."""
        return self.user != "root"


class Subject(Value):
    """What a plan's steps are for: a host of the inventory, or a node or a pool of a cloud."""

    name: str

    @property
    def told(self) -> str:
        """Tell a person what it is."""
        return self.name


class Host(Subject):
    """One machine of the inventory, by the name its Node has or will have.

    ``variables`` are the roles' own variables as they hold for this host. ``pool`` names one of the cluster's pools,
    which the host stays in when it goes from standby to the workers and back; ``failure_domain`` is what fails together
    with it, like a rack.
    """

    name: NodeName
    connection: Connection
    pool: PoolName | None = None
    failure_domain: PoolName | None = None
    variables: dict[str, JsonValue] = Field(default={})

    @property
    def address(self) -> str:
        """The address that Kubernetes, etcd and the load balancers know the host by."""
        return self.connection.address

    @property
    def told(self) -> str:
        """Tell a person what it is."""
        return f"host {self.name} ({self.address})"


class Settings(Value):
    """The cluster's variables, as ``inventories/example/group_vars/all.yml`` explains them."""

    cluster_name: NodeName
    kubernetes_version: Version
    kubernetes_arch: Literal["amd64", "arm64"] = "amd64"
    etcd_version: Version
    api_endpoint: Endpoint
    pod_cidr: Network
    pod_cidr_node_mask: int = Field(default=24, ge=8, le=128)
    service_cidr: Network
    cluster_dns: Address
    cluster_domain: Domain = "cluster.local"
    cni: Word = "routed"
    cni_plugins_version: Version | None = None
    cni_routing: Literal["static", "bgp-mesh", "bgp-reflector"] = "static"
    cni_as_number: int = Field(default=64512, ge=1, le=4294967294)
    kube_proxy_mode: Literal["", "iptables", "ipvs", "nftables", "none"] = ""
    kube_proxy_ipvs_scheduler: Word | Literal[""] = ""
    runtime_source: Literal["store", "distribution"] = "distribution"
    containerd_version: Version | None = None
    runc_version: Version | None = None
    cgroup_driver: Literal["cgroupfs", "systemd"] = "systemd"
    pause_image: ImageName = "registry.k8s.io/pause:3.9"
    verify_image: ImageName = "docker.io/library/busybox:1.36"
    images: tuple[ArchivePath, ...] = ()
    bin_dir: RemotePath = "/usr/local/bin"
    pki_dir: Path
    admin_kubeconfig: Path
    binaries: str = "https://dl.k8s.io/release"
    binaries_manifest: Path
    known_hosts: Path
    master_is_worker: bool = False
    loadbalancer: Word = "haproxy"
    loadbalancer_command: tuple[str, ...] = ()
    vip: Address | None = None
    vrrp_router_id: int = Field(default=117, ge=1, le=255)
    local_api_port: Port = 6443
    etcd_snapshots: int = Field(default=3, ge=1)
    etcd_stall_seconds: int = Field(default=300, ge=1)
    lease_seconds: int = Field(default=60, ge=12)
    reconnect_seconds: int = Field(default=60, ge=0)
    pools: dict[PoolName, MachinePool] = Field(default={})

    @model_validator(mode="after")
    def _the_version_is_known(self) -> Settings:
        if not versions.supported(self.kubernetes_version):
            raise ValueError(f"kubernetes_version {self.kubernetes_version} is not one of 1.20 to 1.37")
        if self.runtime_source == "store" and not (self.containerd_version and self.runc_version):
            raise ValueError("runtime_source 'store' needs containerd_version and runc_version")
        return self

    @model_validator(mode="after")
    def _the_networks_fit(self) -> Settings:
        pods, services = ipaddress.ip_network(self.pod_cidr), ipaddress.ip_network(self.service_cidr)
        if pods.overlaps(services):
            raise ValueError(f"pod_cidr {pods} and service_cidr {services} overlap")
        if ipaddress.ip_address(self.cluster_dns) not in services:
            raise ValueError(f"cluster_dns {self.cluster_dns} is not in service_cidr {services}")
        if not pods.prefixlen <= self.pod_cidr_node_mask <= pods.max_prefixlen:
            raise ValueError(f"pod_cidr_node_mask {self.pod_cidr_node_mask} does not fit pod_cidr {pods}")
        return self

    @model_validator(mode="after")
    def _the_endpoint_is_served(self) -> Settings:
        if self.vip and self.vip != self.api_host:
            raise ValueError(f"api_endpoint {self.api_endpoint} is not at vip {self.vip}, which Keepalived would hold")
        if self.loadbalancer == "external" and not self.loadbalancer_command:
            raise ValueError("loadbalancer 'external' needs loadbalancer_command")
        return self

    def endpoint_for(self, host: Host, *, master: bool) -> str:
        """Return HOST:PORT at which the components of ``host`` reach the API: a master's own, a local balancer's."""
        if master:
            return f"[{host.address}]:6443" if ":" in host.address else f"{host.address}:6443"
        return f"127.0.0.1:{self.local_api_port}" if self.loadbalancer == "local" else self.api_endpoint

    @property
    def api_host(self) -> str:
        """Host name or address of the load balancer."""
        return self.api_endpoint.rpartition(":")[0].strip("[]")

    @property
    def api_port(self) -> int:
        """Port of the load balancer."""
        return int(self.api_endpoint.rpartition(":")[2])


class Cluster(Value):
    """An inventory, read and believed."""

    directory: Path
    hosts_file: Path
    hosts_digest: str
    settings: Settings
    masters: tuple[Host, ...] = ()
    etcd: tuple[Host, ...] = ()
    workers: tuple[Host, ...] = ()
    loadbalancers: tuple[Host, ...] = ()
    standby: tuple[Host, ...] = ()

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.settings.cluster_name

    @property
    def own_etcd(self) -> bool:
        """Tell whether each master has its own member of etcd, so that etcd has no hosts of its own."""
        masters = {host.name for host in self.masters}
        return all(host.name in masters for host in self.etcd)

    def hosts(self) -> dict[str, Host]:
        """Return every host of the inventory by its name."""
        groups = (self.masters, self.etcd, self.workers, self.loadbalancers, self.standby)
        return {host.name: host for group in groups for host in group}

    def carried_by(self, host: Host, *, master: bool = False) -> Carried:
        """Return what the Node of ``host`` carries; a master's is in a failure domain too, and in no pool."""
        return carried(self.settings.pools, None if master else host.pool, host.failure_domain)

    def waiting(self, pool: str | None = None) -> tuple[Host, ...]:
        """Return the hosts on standby of ``pool``, or all; one that has another duty too is not there to be taken."""
        busy = {host.name for group in (self.masters, self.etcd, self.loadbalancers) for host in group}
        return _of_pool(pool, [host for host in self.standby if host.name not in busy])

    def working(self, pool: str | None = None) -> tuple[Host, ...]:
        """Return the workers of ``pool``, or all, without masters."""
        masters = {host.name for host in self.masters}
        return _of_pool(pool, [host for host in self.workers if host.name not in masters])

    @model_validator(mode="after")
    def _pools_are_known(self) -> Cluster:
        known = ", ".join(self.settings.pools) or "none"
        for host in self.hosts().values():
            if host.pool is not None and host.pool not in self.settings.pools:
                raise ValueError(f"host {host.name}: pool: {host.pool!r} is not one of the cluster's pools ({known})")
        return self

    @model_validator(mode="after")
    def _nobody_is_there_twice(self) -> Cluster:
        owner: dict[str, str] = {}
        for host in self.hosts().values():
            other = owner.setdefault(host.address, host.name)
            if other != host.name:
                raise ValueError(f"address {host.address} belongs to both {other} and {host.name}")
        return self


def _of_pool(pool: str | None, hosts: list[Host]) -> tuple[Host, ...]:
    return tuple(host for host in hosts if pool in {None, host.pool})
