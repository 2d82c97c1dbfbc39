"""The inventory of a lab's cluster: made once, extended when hosts are added, otherwise scaler's own to write."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import jinja2
from ruamel.yaml import YAML

from scaler import assets
from scaler.errors import InputError
from scaler.gateways.files import write_atomically
from scaler.lab.leaf import SUMS
from scaler.lab.roles import ETCD, LOADBALANCER, MASTER, Balancer, Shape, role_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scaler.lab.host import Host
    from scaler.lab.layout import Lab

NOTHING: Mapping[str, str] = MappingProxyType({})
API_PORT = 6443
# Where masters are the load balancers, their API servers have the other port.
SHARED_API_PORT = 8443


def write(
    lab: Lab,
    hosts: Sequence[Host],
    store: Path,
    versions: Mapping[str, str],
    shape: Shape,
    given: Mapping[str, str] = NOTHING,
) -> Path:
    """Write ``<lab>/inventory`` unless it is there, and put hosts it does not know on standby; return its directory.

    ``given`` are variables, as YAML, that come in place of the lab's own or beside them.
    """
    directory = lab.inventory
    _manifest(directory / "binaries.sha256", store)
    if (directory / "hosts.yml").exists():
        _extend(directory / "hosts.yml", hosts)
        return directory
    balancers, masters, etcd = (_of(hosts, role) for role in (LOADBALANCER, MASTER, ETCD))
    members = (etcd or masters)[:1]
    # The last address of the subnet, which no host has.
    vip = str(hosts[0].subnet[-2]) if shape.vip else ""
    shared = shape.vip and not balancers
    front = balancers[0] if balancers and shape.balancer is not Balancer.local else masters[0]
    active = [*balancers, *masters[:1], *members]
    port = SHARED_API_PORT if shared else API_PORT
    values = {
        "lab": lab.name,
        "masters": masters[:1],
        "etcd": members,
        "loadbalancers": masters if shared else balancers,
        "standby": [host for host in hosts if host not in active],
        "loadbalancer": shape.balancer.value,
        "vip": vip,
        "api_endpoint": f"{vip or front.address}:{port}",
        "kubernetes_version": versions["kubernetes"].removeprefix("v"),
        "etcd_version": versions["etcd"].removeprefix("v"),
        "key": lab.client_key,
        "known_hosts": lab.known_hosts,
        "store": store,
        "images": sorted(str(p.relative_to(store)) for p in store.glob(f"images/{versions['images']}/*/*.tar")),
    }
    env = jinja2.Environment(  # noqa: S701 - YAML, no HTML
        loader=jinja2.FileSystemLoader(assets.INVENTORIES / "lab"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    # The hosts' file comes last: an inventory that has it is whole.
    for name in ("group_vars/all.yml", "hosts.yml"):
        text = env.get_template(f"{name}.j2").render(**values)
        write_atomically(directory / name, (_with(text, given) if name != "hosts.yml" else text).encode())
    return directory


def variables(words: Sequence[str]) -> dict[str, str]:
    """Return the variables that an operator gave, each as NAME=VALUE."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not re.fullmatch(r"[a-z_]+", name):
            raise InputError(f"--set {word}: not NAME=VALUE", hint="docs/reference/inventory.md has the variables")
        found[name] = value
    return found


def _with(text: str, given: Mapping[str, str]) -> str:
    """Return ``text`` with variables put in place of those of their names, or at its end."""
    for name, value in given.items():
        line = f"{name}: {value}"
        there = re.compile(rf"^{name}:.*$", re.MULTILINE)
        # A backslash in a replacement would mean something else.
        text = there.sub(line.replace("\\", r"\\"), text) if there.search(text) else f"{text}{line}\n"
    return text


def must_agree(lab: Lab, *, balancer: Balancer | None, vip: bool, given: Mapping[str, str] = NOTHING) -> None:
    """Refuse what is asked for and is not in the inventory that the lab has already, since that is never made anew."""
    path = lab.inventory / "group_vars" / "all.yml"
    if not (lab.inventory / "hosts.yml").exists():
        return
    told = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    for name, value in given.items():
        if told.get(name) != YAML(typ="safe", pure=True).load(value):
            has = f"{name}: {told.get(name, 'not set')}"
            raise InputError(f"lab {lab.name} is there already, with {has} ({path})", hint="take it down first")
    known = told.get("loadbalancer", Balancer.haproxy)
    if (balancer and balancer != known) or (vip and not told.get("vip")):
        has = f"loadbalancer {known}, {'a' if told.get('vip') else 'no'} vip"
        raise InputError(f"lab {lab.name} is there already, with {has} ({path})", hint="take it down first")


def _of(hosts: Sequence[Host], role: str) -> list[Host]:
    return [host for host in hosts if role_of(host.name) == role]


def _manifest(path: Path, store: Path) -> None:
    lines = []
    for sums in sorted(store.glob(f"*/*/*/{SUMS}")):
        leaf = sums.parent.relative_to(store)
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            lines.append(f"{digest}  {leaf}/{name}\n")
    write_atomically(path, "".join(lines).encode())


def _extend(path: Path, hosts: Sequence[Host]) -> None:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(path.read_text(encoding="utf-8"))
    children = tree["all"]["children"]
    known = {name for group in children.values() for name in (group.get("hosts") or {})}
    new = [host for host in hosts if host.name not in known]
    if not new:
        return
    standby = children["standby"]
    standby["hosts"] = standby.get("hosts") or {}
    for host in new:
        standby["hosts"][host.name] = {"ansible_host": str(host.address)}
    with path.with_suffix(".new").open("w", encoding="utf-8") as file:
        yaml.dump(tree, file)
    path.with_suffix(".new").replace(path)
