"""Read an inventory through Ansible, and write to it so that comments and order stay."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from scaler import assets
from scaler.errors import InputError
from scaler.gateways import role_variables
from scaler.gateways.files import write_atomically
from scaler.gateways.places import HOSTS_FILE, find
from scaler.gateways.process import ProcessError, run
from scaler.model.base import tell
from scaler.model.inventory import Cluster, Connection, Host, Settings
from scaler.plan.standby import natural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

__all__ = ["HOSTS_FILE", "find", "leave", "move", "read"]

GROUPS = ("masters", "etcd", "workers", "loadbalancers", "standby")
_CONNECTION = {
    "address": "ansible_host",
    "user": "ansible_user",
    "port": "ansible_port",
    "key": "ansible_ssh_private_key_file",
    "jump": "ssh_jump",
    "jump_user": "ssh_jump_user",
    "python": "ansible_python_interpreter",
}
# What a host says of where it stands.
_PLACE = ("pool", "failure_domain")
# Variables of a host that are scaler's own; those of Ansible begin with ansible_.
_OWN = ("ssh_jump", "ssh_jump_user", "kind", *_PLACE)
# What stands before the document, up to its "---": YAML's parser does not keep it.
_HEAD = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\n)*---[ \t]*(?:#[^\n]*)?\n")
# Ansible tries several plugins on the file; only what the one for YAML says is about it.
_WHY = re.compile(r"Failed to parse inventory with 'yaml' plugin: (.+)")
_PATHS = ("pki_dir", "admin_kubeconfig", "binaries_manifest", "known_hosts")
_DEFAULTS = {
    "pki_dir": "pki",
    "admin_kubeconfig": "admin.kubeconfig",
    "binaries_manifest": "binaries.sha256",
    "known_hosts": "known_hosts",
}


def read(directory: Path) -> Cluster:
    """Read the inventory in ``directory``; raises InputError with every mistake and its path."""
    hosts_file = directory / HOSTS_FILE
    told = _ansible_inventory(directory)
    hostvars: dict[str, dict[str, Any]] = told.get("_meta", {}).get("hostvars", {})
    members = {group: _members(told, group) for group in GROUPS}
    if not members["masters"]:
        raise InputError(f"{hosts_file}: group 'masters' is empty", hint="a cluster has one master at least")
    roles = role_variables.types()
    for name, values in hostvars.items():
        role_variables.must_be_known(f"{hosts_file}: host {name}", values, {*Settings.model_fields, *roles, *_OWN})
    hosts = {name: _host(hosts_file, name, values, roles) for name, values in hostvars.items()}
    try:
        return Cluster(
            directory=directory,
            hosts_file=hosts_file,
            hosts_digest=hashlib.sha256(hosts_file.read_bytes()).hexdigest(),
            settings=_settings(directory, hostvars[members["masters"][0]]),
            **{group: tuple(hosts[name] for name in names) for group, names in members.items()},
        )
    except ValidationError as e:
        raise tell(str(hosts_file), e) from e


def move(cluster: Cluster, hosts: Iterable[Host], group: str) -> str:
    """Move ``hosts`` into ``group`` of the inventory's file, comments and order kept, atomically; return its digest.

    A new master of a cluster whose etcd stands on the masters comes into group etcd too. Raises InputError where
    somebody changed the file since it was read.
    """
    text, begin, tree, yaml = _opened(cluster, f"the hosts joined; put them under '{group}' by hand")
    groups = [group, "etcd"] if group == "masters" and cluster.own_etcd else [group]
    for host in hosts:
        _put(tree, host, groups)
    return _written(cluster, text[:begin], tree, yaml)


def leave(cluster: Cluster, living: Iterable[Host], dead: Iterable[Host], groups: Iterable[str]) -> str:
    """Take hosts out of ``groups`` of the inventory's file, comments kept, atomically; return its digest.

    A living host that is in no other group goes on standby with what reaches it; a dead one is dropped from all groups.
    Raises InputError where somebody changed the file since it was read, or a host is not written by its own name.
    """
    text, begin, tree, yaml = _opened(cluster, "the hosts have left; take them out of their groups by hand")
    groups = tuple(groups)
    for host in living:
        values = _out_of(tree, host.name, groups)
        _must_be_found(cluster, host, values, groups)
        if values is not None and not _stays(tree, host.name, values):
            _put(tree, host, ["standby"], values)
    for host in dead:
        _must_be_found(cluster, host, _out_of(tree, host.name, (*GROUPS, "all")), GROUPS)
    return _written(cluster, text[:begin], tree, yaml)


def _opened(cluster: Cluster, by_hand: str) -> tuple[bytes, int, Any, YAML]:
    """Return the file, where its document begins, its tree, and what writes it."""
    text = cluster.hosts_file.read_bytes()
    if hashlib.sha256(text).hexdigest() != cluster.hosts_digest:
        raise InputError(
            f"{cluster.hosts_file} was changed while this run went on; it is left as it is",
            hint=f"{by_hand}, or run the same command again",
        )
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 200
    yaml.indent(mapping=2, sequence=4, offset=2)
    head = _HEAD.match(text)
    begin = head.end() if head else 0
    return text, begin, yaml.load(text[begin:]), yaml


def _written(cluster: Cluster, head: bytes, tree: Any, yaml: YAML) -> str:  # noqa: ANN401 - ruamel's trees are untyped
    out = io.BytesIO()
    out.write(head)
    yaml.dump(tree, out)
    write_atomically(cluster.hosts_file, out.getvalue(), mode=cluster.hosts_file.stat().st_mode & 0o777)
    return hashlib.sha256(out.getvalue()).hexdigest()


def _places(tree: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - as above
    """Yield the name and the hosts of every group, wherever it stands in the file."""
    for group, content in (tree or {}).items():
        if content is not None:
            if content.get("hosts"):
                yield group, content["hosts"]
            yield from _places(content.get("children"))


def _out_of(tree: Any, name: str, groups: Collection[str]) -> Any:  # noqa: ANN401 - as above
    """Take ``name`` out of ``groups``; return its variables, None where it was in none of them."""
    values = None
    for group, members in _places(tree):
        if group in groups and name in members:
            own = members.pop(name)
            values = own or values or {}
    return values


def _stays(tree: Any, name: str, values: Any) -> bool:  # noqa: ANN401 - as above
    """Give ``name`` its variables where it still is in a group; tell whether it is."""
    others = [members for group, members in _places(tree) if group != "all" and name in members]
    if others and values:
        others[0][name] = {**values, **(others[0][name] or {})}
    return bool(others)


def _must_be_found(cluster: Cluster, host: Host, values: Any, groups: Collection[str]) -> None:  # noqa: ANN401 - as above
    """Refuse where ``host`` came out of none of ``groups``, though it is in one: a range or a group within names it."""
    known = [group for group in groups if any(host.name == other.name for other in getattr(cluster, group))]
    if values is None and known:
        raise InputError(
            f"{cluster.hosts_file}: {host.name} is in '{known[0]}', but is not written there by its own name; "
            "the file is left as it is",
            hint="write the hosts of that range or inner group one by one, then run the same command again",
        )


def _put(tree: Any, host: Host, groups: list[str], values: Any = None) -> None:  # noqa: ANN401 - as above
    values = values if values is not None else _taken(tree, host.name)
    # Groups stand below 'all', or at the top of the file.
    top = any(group in tree for group in GROUPS) or tree.get("all") is None
    parent = tree if top else _map(tree["all"], "children")
    own: Any = values if values is not None else _variables(host.connection)
    for name in groups:
        group = _map(parent, name)
        # A group whose children are the masters has its hosts from there.
        if name == "etcd" and "masters" in (group.get("children") or {}):
            continue
        members = _map(group, "hosts")
        if host.name not in members:
            members.insert(_place_in(members, name, host.name), host.name, own)
        own = {}


def _place_in(members: Any, group: str, name: str) -> int:  # noqa: ANN401 - as above
    """Return where ``name`` goes: to the end, but on standby to its place where hosts stand in order of their names.

    So a file is what it was once those that worked for a while are back.
    """
    there = [natural(other) for other in members]
    if group != "standby" or there != sorted(there):
        return len(there)
    return sum(other < natural(name) for other in there)


def _map(parent: Any, key: str) -> Any:  # noqa: ANN401 - as above
    """Return the map under ``key``, made where there is none."""
    if parent.get(key) is None:
        parent[key] = CommentedMap()
    return parent[key]


def _taken(groups: Any, name: str) -> Any:  # noqa: ANN401 - as above
    """Take ``name`` out of the standby group, wherever it stands in the file; return its variables, {} for none."""
    for group, content in (groups or {}).items():
        if content is None:
            continue
        if group == "standby" and name in (content.get("hosts") or {}):
            return content["hosts"].pop(name) or {}
        found = _taken(content.get("children"), name)
        if found is not None:
            return found
    return None


def _variables(connection: Connection) -> dict[str, Any]:
    given = connection.model_dump(mode="json", exclude_defaults=True)
    return {_CONNECTION[field]: value for field, value in given.items()}


def _ansible_inventory(directory: Path) -> dict[str, Any]:
    for kind in ("group_vars", "host_vars"):
        for path in sorted((directory / kind).rglob("*.y*ml")):
            _one_owner_of_each_key(path)
    _one_owner_of_each_key(directory / HOSTS_FILE)
    argv = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(directory / HOSTS_FILE), "--list"]
    env = {
        "ANSIBLE_CONFIG": str(assets.PLAYBOOKS / "ansible.cfg"),
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_NOCOLOR": "1",
    }
    try:
        told = run(argv, timeout=120, env=env)
        return json.loads(told.out)  # type: ignore[no-any-return]
    except ProcessError as e:
        why = _WHY.search(e.completed.err) if e.completed else None
        raise InputError(f"{directory / HOSTS_FILE}: Ansible cannot read it: {why[1] if why else e.message}") from e


def _one_owner_of_each_key(path: Path) -> None:
    """Refuse broken YAML and a key given twice, with the line; Ansible itself only warns of the second."""
    try:
        YAML(pure=True).load(path.read_bytes())  # round trip, since it takes tags like !vault and !unsafe as they are
    except YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: {getattr(e, 'problem', None) or e}") from e


def _members(told: Mapping[str, Any], group: str) -> list[str]:
    own = told.get(group, {})
    names = list(own.get("hosts", ()))
    for child in own.get("children", ()):
        names += [name for name in _members(told, child) if name not in names]
    return names


def _host(hosts_file: Path, name: str, values: Mapping[str, Any], roles: Mapping[str, str]) -> Host:
    connection = {field: values[variable] for field, variable in _CONNECTION.items() if variable in values}
    if connection.get("key"):
        connection["key"] = (hosts_file.parent / Path(connection["key"]).expanduser()).resolve()
    own = role_variables.checked(f"{hosts_file}: host {name}", values, roles, set(Settings.model_fields))
    try:
        place = {field: values[field] for field in _PLACE if field in values}
        return Host.model_validate({"name": name, "connection": connection, "variables": own, **place})
    except ValidationError as e:
        raise tell(f"{hosts_file}: host {name}", e, names={**_CONNECTION, "connection": ""}) from e


def _settings(directory: Path, values: Mapping[str, Any]) -> Settings:
    known = {name: values[name] for name in Settings.model_fields if name in values}
    for name in _PATHS:
        known[name] = directory / Path(str(known.get(name, _DEFAULTS[name]))).expanduser()
    try:
        return Settings.model_validate(known)
    except ValidationError as e:
        raise tell(f"{directory}/group_vars/all.yml", e) from e
