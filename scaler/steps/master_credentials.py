"""The certificates and kubeconfigs of one master, made in memory and kept in the run's private directory."""

from __future__ import annotations

import base64
import ipaddress
from typing import TYPE_CHECKING

from scaler.gateways.files import write_atomically
from scaler.gateways.templates import render
from scaler.pki.certificates import CLIENT, SERVER, Pair, Subject, issue

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from scaler.model.inventory import Cluster, Host

AUTHORITIES = ("ca", "etcd-ca", "front-proxy-ca")


def read_pair(directory: Path, name: str) -> Pair:
    """Read ``<name>.crt`` and ``<name>.key`` into memory."""
    return Pair((directory / f"{name}.crt").read_bytes(), (directory / f"{name}.key").read_bytes())


def apiserver_subject(cluster: Cluster, host: Host) -> Subject:
    """Return every name and address an API server of ``cluster`` on ``host`` is called by."""
    settings = cluster.settings
    first = str(next(ipaddress.ip_network(settings.service_cidr).hosts()))
    service = "kubernetes.default.svc"
    dns = ["kubernetes", "kubernetes.default", service, f"{service}.{settings.cluster_domain}", "localhost", host.name]
    addresses = [host.address, first, "127.0.0.1"]
    try:
        ipaddress.ip_address(settings.api_host)
        addresses.append(settings.api_host)
    except ValueError:
        dns.append(settings.api_host)
    for balancer in cluster.loadbalancers:
        dns.append(balancer.name)
        addresses.append(balancer.address)
    return Subject("kube-apiserver", dns=tuple(dict.fromkeys(dns)), addresses=tuple(dict.fromkeys(addresses)))


def write(cluster: Cluster, host: Host, target: Path, now: datetime) -> None:
    """Write all of ``host``'s credentials into ``target`` (0700), each key 0600."""
    pki = cluster.settings.pki_dir
    ca, etcd, proxy = (read_pair(pki, name) for name in AUTHORITIES)
    own = (host.name, "localhost"), (host.address, "127.0.0.1")
    leaves = {
        "etcd-server": issue(etcd, Subject(host.name, dns=own[0], addresses=own[1]), [SERVER, CLIENT], now),
        "etcd-peer": issue(etcd, Subject(host.name, dns=own[0], addresses=own[1]), [SERVER, CLIENT], now),
        "etcd-client": issue(etcd, Subject("kube-apiserver"), [CLIENT], now),
        "apiserver": issue(ca, apiserver_subject(cluster, host), [SERVER], now),
        "apiserver-kubelet-client": issue(ca, Subject("kube-apiserver-kubelet-client"), [CLIENT], now),
        "front-proxy-client": issue(proxy, Subject("front-proxy-client"), [CLIENT], now),
    }
    for name, pair in leaves.items():
        _put(target, name, pair)
    for name in (*(f"{a}.crt" for a in AUTHORITIES), "ca.key", "sa.pub", "sa.key", "encryption.yaml"):
        write_atomically(target / name, (pki / name).read_bytes(), mode=0o600)
    local = f"https://{host.address}:6443"
    for name in ("controller-manager", "scheduler"):
        pair = issue(ca, Subject(f"system:kube-{name}"), [CLIENT], now)
        write_atomically(target / f"{name}.kubeconfig", kubeconfig(cluster, name, pair, local), mode=0o600)


def kubeconfig(cluster: Cluster, user: str, pair: Pair, server: str) -> bytes:
    """Return a kubeconfig for ``user`` against ``server``."""
    ca = (cluster.settings.pki_dir / "ca.crt").read_bytes()
    text = render(
        "kubeconfig.j2",
        cluster_name=cluster.name,
        server=server,
        ca=base64.b64encode(ca).decode(),
        user=user,
        token="",
        certificate=base64.b64encode(pair.certificate).decode(),
        key=base64.b64encode(pair.key).decode(),
    )
    return text.encode()


def _put(target: Path, name: str, pair: Pair) -> None:
    write_atomically(target / f"{name}.crt", pair.certificate, mode=0o600)
    write_atomically(target / f"{name}.key", pair.key, mode=0o600)
