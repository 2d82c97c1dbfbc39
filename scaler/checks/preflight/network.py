"""The host can take part in the cluster's network: kernel, subnet, MTU, and the driver's own demands."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from scaler.checks.needs import lacking
from scaler.checks.preflight import Check, Subject, Told
from scaler.drivers import cni
from scaler.model.network import on_one_subnet, overlapping

if TYPE_CHECKING:
    from collections.abc import Iterator

# More names than these are a number.
_NAMED = 5


def _look(subject: Subject) -> Iterator[Told]:
    network, nodes = subject.network, subject.state.nodes
    for why in network.refusals:
        yield Told(why, "correct the inventory, or the network's configuration")
    yield from lacking(subject, network.needs)
    driver = cni.of(subject.cluster.settings.cni)
    for said in driver.unfit(network, subject.host, subject.facts, nodes):
        yield Told(said.message, said.remedy, said.warning)
    yield from _pools(subject)
    yield from _subnets(subject)
    yield from _mtu(subject)


def _pools(subject: Subject) -> Iterator[Told]:
    """Warn where pods may get addresses that something else has; ``routes`` refuses what lies in pod_cidr itself."""
    settings, cidrs = subject.cluster.settings, subject.network.cidrs
    for cidr in overlapping(cidrs, settings.service_cidr):
        yield Told(
            f"the network's pods {cidr} overlap service_cidr {settings.service_cidr}",
            "renumber one of them",
            warning=True,
        )
    own = {*overlapping(cidrs, settings.pod_cidr)}
    for cidr in cidrs:
        if cidr not in own:
            yield Told(
                f"the network's pods are {cidr}, outside pod_cidr {settings.pod_cidr}, which kube-proxy goes by",
                "correct pod_cidr",
                warning=True,
            )
        if subject.ours or cidr == settings.pod_cidr:
            continue
        for route in subject.facts.routes:
            if "/" in route and cidr in overlapping([cidr], route) and ipaddress.ip_network(route).prefixlen:
                # The nodes that live may have it too, as a network does whose pods are out of 10.0.0.0/8.
                yield Told(
                    f"its route {route} overlaps the network's pods {cidr}",
                    "remove the route, or renumber",
                    warning=True,
                )


def _sides(subject: Subject) -> tuple[list[str], list[str]]:
    """Return the nodes in the host's own subnet, and those outside; none where its subnet is not known."""
    own = subject.facts.with_prefix(subject.host.address)
    if "/" not in own:
        return [], []
    name = subject.host.name
    addresses = {node.name: node.internal_ip for node in subject.state.nodes if node.name != name}
    addresses |= {n: told.partition("/")[0] for n, told in subject.network.subnets.items() if n != name}
    return on_one_subnet(own, addresses)


def _subnets(subject: Subject) -> Iterator[Told]:
    network, own = subject.network, subject.facts.with_prefix(subject.host.address)
    inside, outside = _sides(subject)
    if network.one_link and outside:
        yield Told(
            f"{_told(outside)} not in its subnet {own}, and {network.way} needs all nodes on one link",
            "choose a host of that network, or another way for the pods",
        )
    elif network.tunnels == "across subnets" and outside:
        yield Told(
            f"it will tunnel to {_named(outside)}, outside its subnet {own}, and not to {len(inside)} nodes inside",
            warning=True,
        )


def _mtu(subject: Subject) -> Iterator[Told]:
    network, link = subject.network, subject.facts.link_of(subject.host.address)
    tunnels = network.tunnels != "across subnets" or _sides(subject)[1]
    overhead = network.overhead if tunnels else 0
    if link and network.mtu and network.mtu + overhead > link.mtu:
        tunnel = f" and {overhead} bytes of tunnel" if overhead else ""
        yield Told(
            f"pods have an MTU of {network.mtu}{tunnel}, and {link.name} has {link.mtu}: full packets would be lost",
            f"raise the MTU of {link.name}, or lower that of the network",
        )


def _named(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} nodes"


def _told(names: list[str]) -> str:
    return f"{_named(names)} {'is' if len(names) == 1 else 'are'}"


CHECK = Check("network", _look, of_nodes=True)
