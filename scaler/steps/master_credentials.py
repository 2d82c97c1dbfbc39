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

    from cryptography import x509

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


def etcd_subject(host: Host) -> Subject:
    """Return every name and address an etcd member on ``host`` is called by."""
    return Subject(host.name, dns=(host.name, "localhost"), addresses=(host.address, "127.0.0.1"))


def serving_subjects(cluster: Cluster, host: Host) -> dict[str, Subject]:
    """Return whom each serving certificate of a master is for, by its place on the host."""
    return {
        "/etc/etcd/pki/server.crt": etcd_subject(host),
        "/etc/etcd/pki/peer.crt": etcd_subject(host),
        "/etc/kubernetes/pki/apiserver.crt": apiserver_subject(cluster, host),
    }


def leaves(
    cluster: Cluster, host: Host, *, etcd_only: bool = False
) -> dict[str, tuple[Pair, Subject, list[x509.ObjectIdentifier]]]:
    """Return the certificates ``host`` gets by name: whose authority signs, for whom, for what."""
    ca, etcd, proxy = (read_pair(cluster.settings.pki_dir, name) for name in AUTHORITIES)
    both = [SERVER, CLIENT]
    members = {"etcd-server": (etcd, etcd_subject(host), both), "etcd-peer": (etcd, etcd_subject(host), both)}
    if etcd_only:
        return members
    return {
        **members,
        "etcd-client": (etcd, Subject("kube-apiserver"), [CLIENT]),
        "apiserver": (ca, apiserver_subject(cluster, host), [SERVER]),
        "apiserver-kubelet-client": (ca, Subject("kube-apiserver-kubelet-client"), [CLIENT]),
        "front-proxy-client": (proxy, Subject("front-proxy-client"), [CLIENT]),
    }


def write(cluster: Cluster, host: Host, target: Path, now: datetime, *, etcd_only: bool = False) -> None:
    """Write all of ``host``'s credentials into ``target`` (0700), each key 0600.

    A pair that stands ready in ``pki_dir``/hosts/<host>/ is taken as it is; what is missing is issued.
    """
    pki = cluster.settings.pki_dir
    ca = read_pair(pki, "ca")
    for name, (authority, subject, usages) in leaves(cluster, host, etcd_only=etcd_only).items():
        ready = pki / "hosts" / host.name
        given = (ready / f"{name}.crt").exists()
        _put(target, name, read_pair(ready, name) if given else issue(authority, subject, usages, now))
    if etcd_only:
        for name in ("ca", "etcd-ca"):
            write_atomically(target / f"{name}.crt", (pki / f"{name}.crt").read_bytes(), mode=0o600)
        return
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
