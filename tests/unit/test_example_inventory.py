"""inventories/example explains every variable there is, at its true default."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from scaler import assets
from scaler.gateways import inventory
from scaler.model.inventory import Connection, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

EXAMPLE = assets.INVENTORIES / "example"
TEXT = (EXAMPLE / "group_vars" / "all.yml").read_text(encoding="utf-8")
CONNECTION = {
    "user": "ansible_user",
    "port": "ansible_port",
    "key": "ansible_ssh_private_key_file",
    "jump": "ssh_jump",
    "jump_user": "ssh_jump_user",
    "python": "ansible_python_interpreter",
}


def _load(text: str) -> dict[str, Any]:
    told: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return told


SET = _load(TEXT)
# A commented variable is a comment that YAML would read as one: "# name: value".
COMMENTED = dict(re.findall(r"^# ([a-z_]+): (.+)$", TEXT, flags=re.MULTILINE))


def _role_options() -> set[str]:
    paths = assets.PLAYBOOKS.glob("roles/*/meta/argument_specs.yml")
    return {name for path in paths for name in _load(path.read_text())["argument_specs"]["main"]["options"]}


def _role_defaults() -> dict[str, Any]:
    """Public defaults of the roles that are plain values, not expressions."""
    defaults: dict[str, Any] = {}
    for path in assets.PLAYBOOKS.glob("roles/*/defaults/main.yml"):
        defaults |= _load(path.read_text())
    return {name: value for name, value in defaults.items() if not name.startswith("_") and "{{" not in str(value)}


def _model_defaults() -> dict[str, Any]:
    def of(model: type[BaseModel], names: dict[str, str]) -> dict[str, Any]:
        fields = model.model_fields.items()
        return {names.get(name, name): f.default for name, f in fields if not f.is_required() and f.default is not None}

    return {**of(Settings, {}), **of(Connection, CONNECTION)}


@pytest.mark.ansible
def test_the_example_is_an_inventory() -> None:
    cluster = inventory.read(EXAMPLE)
    assert cluster.name == "example"
    assert [host.name for host in cluster.standby] == ["w2", "w3"]
    assert cluster.hosts()["w3"].connection.port == 2222


@pytest.mark.ansible
def test_the_example_reads_with_every_variable_set(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(EXAMPLE, whole)
    everything = re.sub(r"^# ([a-z_]+: .+)$", r"\1", TEXT, flags=re.MULTILINE)
    (whole / "group_vars" / "all.yml").write_text(everything, encoding="utf-8")
    cluster = inventory.read(whole)
    assert cluster.settings.master_is_worker is False
    assert cluster.masters[0].variables["haproxy_maxconn"] == 20000


@pytest.mark.parametrize("name", sorted(set(Settings.model_fields) | _role_options()))
def test_every_setting_and_role_option_is_explained(name: str) -> None:
    assert name in SET or name in COMMENTED


def test_every_connection_variable_is_explained() -> None:
    assert "ansible_host:" in (EXAMPLE / "hosts.yml").read_text(encoding="utf-8")
    assert set(CONNECTION) | {"address"} == set(Connection.model_fields)
    assert set(CONNECTION.values()) <= set(COMMENTED)


def test_no_variable_is_explained_that_does_not_exist() -> None:
    by_hand = {"ansible_ssh_common_args", "ansible_become"}
    known = set(Settings.model_fields) | _role_options() | set(CONNECTION.values()) | by_hand
    assert set(SET) | set(COMMENTED) <= known


def test_what_is_set_has_no_default() -> None:
    assert not set(SET) & (set(_model_defaults()) | set(_role_defaults()))


def _defaults() -> dict[str, Any]:
    files = {
        "pki_dir": "pki",
        "admin_kubeconfig": "admin.kubeconfig",
        "binaries_manifest": "binaries.sha256",
        "known_hosts": "known_hosts",
    }
    return {**_role_defaults(), **_model_defaults(), **files}


# Empty stands for "none"; the example shows what a value looks like.
@pytest.mark.parametrize("name", sorted(set(_defaults()) - {"lb_masters", "cni_plugins_version", "vip"}))
def test_a_commented_variable_stands_at_its_default(name: str) -> None:
    value = _load(f"value: {COMMENTED[name]}")["value"]
    expected = _defaults()[name]
    assert value == (list(expected) if isinstance(expected, tuple) else expected)
