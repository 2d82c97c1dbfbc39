"""Calico, in each of its ways, read from its own objects: BGP in a mesh or by reflectors, tunnels, policy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from scaler.drivers import cni_calico_objects as objects
from scaler.drivers import cni_calico_peering as peering
from scaler.drivers import cni_calico_release as release
from scaler.drivers import cni_daemonset, cni_reflectors
from scaler.drivers.cni import Cni, Doors, Lacking, Plain, Said
from scaler.drivers.cni_calico_objects import Calico, InApi, InEtcd
from scaler.drivers.cni_calico_selector import matches
from scaler.errors import PreflightError
from scaler.gateways.kube import KubeError
from scaler.gateways.kube import nodes as read_nodes
from scaler.model.network import IPV4_HEADER, VXLAN_HEADERS, WIREGUARD_HEADERS, Needs, Network, on_one_subnet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scaler.drivers.cni_calico_objects import Felix, Objects, Pool
    from scaler.model.facts import HostFacts
    from scaler.model.inventory import Cluster, Host
    from scaler.model.state import Node

NAMESPACES = ("kube-system", "calico-system")
_DAEMONSET = "calico-node"
_BGP_PORT = {179: "Calico's BIRD"}
# Of the eBPF data plane; the distributions of Red Hat have it in their own 4.18.
_BPF_KERNEL = "5.3"
_OVERHEADS = {"ipip": IPV4_HEADER, "vxlan": VXLAN_HEADERS}


class CalicoDriver(Plain):
    """calico-node writes a node's address on its Node, or into etcd; peers and blocks of addresses are objects."""

    def read(self, doors: Doors) -> Network:
        """Return the way that calico-node, IPPools, BGPConfiguration, FelixConfiguration and BGPPeers say."""
        found = cni_daemonset.find(doors.kube, _DAEMONSET, NAMESPACES, _DAEMONSET)
        backend = found.environment.get("CALICO_NETWORKING_BACKEND") or "bird"
        store = _store(doors, found.environment)
        if store is None:
            way = f"calico {found.version}, datastore etcd at {found.environment.get('ETCD_ENDPOINTS', '?')}"
            told = "Calico's etcd is not this cluster's: its pools and its BGP were not looked at"
            return Calico(way=f"{way}, not read", datastore="etcd", told=(told,), works=True, leaves_work=True)
        datastore = "kubernetes" if isinstance(store, InApi) else "etcd"
        try:
            felix = objects.felix(store)
            pools = objects.pools(store) if backend != "none" else ()
            bgp, peers = objects.bgp(store), objects.peers(store)
            members = store.members()
        except KubeError as e:
            raise PreflightError(
                f"Calico's objects cannot be read: {e.message}", hint="is its datastore the API? nothing was touched"
            ) from e
        speaks = backend == "bird"
        network = Calico(
            datastore=datastore,
            mesh=bgp.mesh,
            bgp=speaks,
            as_number=str(bgp.as_number),
            peers=peers if speaks else (),
            members=members,
            tunnel=_tunnel(pools),
            tunnelled=_tunnelled(pools, found.environment),
            routed=any(pool.vxlan == "Never" for pool in pools),
            labels=_labels(doors.cluster),
            endpoints=tuple(sorted(_own_endpoints(doors, found.environment))) if datastore == "etcd" else (),
            tunnels=_tunnels(pools),
            subnets={member.name: member.address for member in members if member.address},
            cidrs=tuple(pool.cidr for pool in pools),
            needs=_needs(pools, felix, speaks=speaks),
            mtu=_mtu(doors, found.namespace, pools, felix),
            overhead=max(_OVERHEADS.get(_tunnel(pools), 0), WIREGUARD_HEADERS if felix.wireguard else 0),
            refusals=() if pools or backend == "none" else ("Calico has no IPPool that is not disabled",),
            told=cni_reflectors.mesh_warning(len(members)) if speaks and bgp.mesh else (),
            works=True,
            leaves_work=True,
        )
        reflectors = peering.reflectors(network) if speaks and not bgp.mesh else None
        way = f"calico {found.version}, datastore {datastore}: {_told(network, backend, pools, felix, reflectors)}"
        return network.model_copy(update={"reflectors": reflectors, "way": way})

    def unfit(self, network: Network, host: Host, facts: HostFacts, nodes: Sequence[Node]) -> Iterator[Said]:
        """Refuse a node that would peer with nobody, and a reflector that nothing selects."""
        if not isinstance(network, Calico) or not network.bgp:
            return
        if network.mesh and network.tunnels == "never" and network.cidrs:
            yield from _unreached(host, facts, nodes)
        wanted = bool(host.variables.get("cni_reflector"))
        if wanted:
            yield from _unfit_reflector(network)
        lacks = network.routed and not network.mesh and not wanted and not peering.peered(network, host)
        if lacks and not peering.usual_peers(network):
            yield Said(
                "the mesh is off, and no BGPPeer would give it anybody to talk to: it would get no route",
                "let a BGPPeer's nodeSelector select it, for example nodeSelector: all()",
            )
        elif lacks and network.datastore == "etcd":
            usual = ", ".join(peering.usual_peers(network))
            yield Said(
                f"each node has BGPPeers of its own, and this one has none to {usual}",
                "make them with calicoctl first: scaler does not write into Calico's etcd",
            )

    def may_leave(self, network: Network, names: Sequence[str], nodes: Sequence[Node]) -> str:
        """Refuse to take the last reflectors, or the last member of etcd that Calico knows, from nodes that stay."""
        going = {node.internal_ip for node in nodes if node.name in names}
        if isinstance(network, Calico) and network.endpoints and going >= set(network.endpoints):
            return (
                f"Calico's ETCD_ENDPOINTS name no other living member of etcd than {', '.join(network.endpoints)}: "
                "no pod would get an address any more; write the members that stay into calico-config first"
            )
        return cni_reflectors.last_ones(network.reflectors or (), names, nodes)

    def join(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Make reflectors of those that are to be some, and BGPPeers for those whose like have their own."""
        network = self.read(doors)
        if not isinstance(network, Calico) or not network.bgp or network.mesh or network.datastore != "kubernetes":
            return {}
        failures = {}
        for host in hosts:
            try:
                _join(doors, network, host)
            except KubeError as e:
                failures[host.name] = e.message
        return failures

    def lacking(self, doors: Doors, hosts: Sequence[Host]) -> Mapping[str, Lacking]:
        """Look whether calico-node is Ready on each node, and has told the node's address and its tunnel's."""
        found = cni_daemonset.find(doors.kube, _DAEMONSET, NAMESPACES, _DAEMONSET)
        network = self.read(doors)
        nodes = read_nodes(doors.kube)
        lacking = {}
        for host in hosts:
            why = cni_daemonset.not_running(doors.kube, found, host.name)
            if not why and isinstance(network, Calico) and network.cidrs:
                why = _untold(network, host, nodes)
            if why:
                lacking[host.name] = Lacking(f"calico: {why}")
        return lacking

    def unjoin(self, doors: Doors, host: Host) -> None:
        """Delete the BGPPeers that the join made; labels and annotations go with the Node."""
        found = cni_daemonset.find(doors.kube, _DAEMONSET, NAMESPACES, _DAEMONSET)
        if isinstance(_store(doors, found.environment), InApi):
            doors.kube.delete(f"bgppeers.{objects.GROUP}", release.made_peers(doors.kube, host.name))

    def leave(self, doors: Doors, hosts: Sequence[Host]) -> dict[str, str]:
        """Delete BGPPeers and blocks of addresses; of a datastore in etcd tell what calicoctl has to delete."""
        found = cni_daemonset.find(doors.kube, _DAEMONSET, NAMESPACES, _DAEMONSET)
        store = _store(doors, found.environment)
        names = [host.name for host in hosts]
        if isinstance(store, InApi):
            release.forget_peers(doors.kube, hosts)
            return release.release_addresses(doors.kube, names)
        left = {member.name for member in store.members()} & set(names) if store else set(names)
        return {name: f"Calico's etcd has or may have its node still: calicoctl delete node {name}" for name in left}


def _store(doors: Doors, environment: Mapping[str, str]) -> Objects | None:
    """Return where Calico keeps its objects, None where that is an etcd which is not the cluster's."""
    if environment.get("DATASTORE_TYPE", "") == "kubernetes":
        return InApi(doors.kube)
    return InEtcd(doors.etcd) if _own_endpoints(doors, environment) else None


def _own_endpoints(doors: Doors, environment: Mapping[str, str]) -> set[str]:
    """Return the addresses of the cluster's members among Calico's endpoints; others of them may have left long ago."""
    endpoints = environment.get("ETCD_ENDPOINTS", "")
    asked = {part.partition("://")[2].rpartition(":")[0].strip("[]") for part in endpoints.split(",") if part}
    return asked & {host.address for host in doors.cluster.etcd}


def _labels(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Return the labels that scaler and kubelet give to nodes, by host; of a host on standby those of a worker."""
    arch = {"kubernetes.io/arch": cluster.settings.kubernetes_arch}
    hosts = {host.name: host for host in (*cluster.standby, *cluster.workers, *cluster.masters)}
    masters = {host.name for host in cluster.masters}
    return {n: {**arch, **cluster.carried_by(h, master=n in masters).labels} for n, h in hosts.items()}


def _join(doors: Doors, network: Calico, host: Host) -> None:
    """Make the node of ``host`` a reflector, or give it BGPPeers where its like have their own."""
    if host.variables.get("cni_reflector"):
        labels = peering.reflector_labels(network) or {}
        mark = f"{objects.CLUSTER_ID}={peering.cluster_id(network)}"
        doors.kube.call(["annotate", "nodes", host.name, "--overwrite", mark])
        doors.kube.call(["label", "nodes", host.name, "--overwrite", *(f"{k}={v}" for k, v in labels.items())])
    elif not peering.peered(network, host, own=False):
        made = peering.missing_peers(network, host)
        if made:
            doors.kube.create(made, apply=True)


def _tunnel(pools: Sequence[Pool]) -> str:
    if any(pool.vxlan != "Never" for pool in pools):
        return "vxlan"
    return "ipip" if any(pool.ipip != "Never" for pool in pools) else ""


def _tunnelled(pools: Sequence[Pool], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the selectors of the nodes that calico-node gives an address for the tunnel; host-local IPAM has none."""
    if environment.get("USE_POD_CIDR", "false").lower() == "true":
        return ()
    return tuple(pool.selector for pool in pools if {pool.ipip, pool.vxlan} != {"Never"})


def _tunnels(pools: Sequence[Pool]) -> Literal["never", "across subnets", "always"]:
    modes = {mode for pool in pools for mode in (pool.ipip, pool.vxlan)}
    return "always" if "Always" in modes else "across subnets" if "CrossSubnet" in modes else "never"


def _needs(pools: Sequence[Pool], felix: Felix, *, speaks: bool) -> Needs:
    modules = {"ip_set": "Calico's policy", "nf_conntrack": "Calico's policy"}
    if any(pool.ipip != "Never" for pool in pools):
        modules["ipip"] = "Calico's IP-in-IP"
    if any(pool.vxlan != "Never" for pool in pools):
        modules["vxlan"] = "Calico's VXLAN"
    if felix.wireguard:
        modules["wireguard"] = "Calico's encryption"
    return Needs(
        modules=modules,
        kernel=_BPF_KERNEL if felix.bpf else "",
        kernel_for="Calico's eBPF data plane" if felix.bpf else "",
        ports=_BGP_PORT if speaks else {},
    )


def _mtu(doors: Doors, namespace: str, pools: Sequence[Pool], felix: Felix) -> int:
    """Return the MTU of pods where it is fixed; 0 lets each node find its own."""
    given = cni_daemonset.config(doors.kube, "calico-config", namespace).get("veth_mtu", "0")
    own = {"ipip": felix.ipip_mtu, "vxlan": felix.vxlan_mtu}.get(_tunnel(pools), 0)
    return int(given or 0) or own


def _told(
    network: Calico, backend: str, pools: Sequence[Pool], felix: Felix, reflectors: tuple[str, ...] | None
) -> str:
    if backend == "none":
        return "policy only, on top of another network"
    parts = []
    if network.bgp and network.mesh:
        parts.append(f"BGP full mesh, AS {network.as_number}")
    elif network.bgp:
        by = f"by reflectors {', '.join(reflectors)}" if reflectors else "by BGPPeers alone"
        parts.append(f"BGP {by}, AS {network.as_number}")
    names = {"ipip": "IP-in-IP", "vxlan": "VXLAN"}
    if network.tunnel:
        parts.append(names[network.tunnel] + (" across subnets" if network.tunnels == "across subnets" else ""))
    if felix.wireguard:
        parts.append("WireGuard")
    if felix.bpf:
        parts.append("eBPF data plane")
    return ", ".join([*parts, f"pool {', '.join(pool.cidr for pool in pools) or 'none'}"])


def _unreached(host: Host, facts: HostFacts, nodes: Sequence[Node]) -> Iterator[Said]:
    """Warn where nothing tunnels and a node is in another subnet: routers between them must know the pods' routes."""
    own = facts.with_prefix(host.address)
    _, outside = on_one_subnet(own, {n.name: n.internal_ip for n in nodes if n.name != host.name})
    if "/" in own and outside:
        yield Said(
            f"{len(outside)} nodes are not in its subnet {own}, and Calico's pools do not tunnel",
            "set ipipMode or vxlanMode to CrossSubnet, or let the routers learn the pods' routes",
            warning=True,
        )


def _unfit_reflector(network: Calico) -> Iterator[Said]:
    if network.mesh:
        yield Said(
            "cni_reflector is true while Calico's full mesh is on",
            "make BGPPeers for reflectors and switch nodeToNodeMeshEnabled off first (docs/reference/cni.md)",
        )
    elif network.datastore != "kubernetes":
        yield Said("cni_reflector is true, and scaler does not write into Calico's etcd", "use calicoctl, and drop it")
    elif peering.reflector_labels(network) is None:
        yield Said(
            "cni_reflector is true, and no BGPPeer's peerSelector says by which label reflectors are known",
            "make a BGPPeer with peerSelector: has(route-reflector)",
        )


def _untold(network: Calico, host: Host, nodes: Sequence[Node]) -> str:
    addresses = {member.name: member.address.partition("/")[0] for member in network.members}
    address = addresses.get(host.name, "")
    if network.bgp and cni_daemonset.misplaced(host, address, addresses, nodes):
        return f"calico-node took the address {address or 'none'}, {host.address} is wanted (IP_AUTODETECTION_METHOD)"
    tunnel = objects.TUNNELS.get(network.tunnel, "")
    labels = peering.labels_of(network, host)
    annotations = next((node.metadata.annotations for node in nodes if node.name == host.name), {})
    tunnels = tunnel and any(matches(selector, labels) for selector in network.tunnelled)
    if tunnels and network.datastore == "kubernetes" and not annotations.get(tunnel):
        return f"its Node has no {tunnel} yet"
    return ""


DRIVER: Cni = CalicoDriver()
