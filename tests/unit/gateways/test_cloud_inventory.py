from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scaler import assets
from scaler.errors import InputError
from scaler.gateways import cloud_inventory
from scaler.model.clouds import KINDS, MANAGED, Aks, Eks, Gke, Managed

if TYPE_CHECKING:
    from pathlib import Path

TKE = "kind: tke\ncluster_name: prod\nregion: ap-guangzhou\ncluster_id: cls-1\n"


def written(place: Path, text: str) -> Path:
    (place / "group_vars").mkdir()
    (place / "group_vars" / "all.yml").write_text(text)
    return place


def test_a_managed_cluster_needs_few_words(tmp_path: Path) -> None:
    cluster = cloud_inventory.read(written(tmp_path, TKE))
    assert cluster is not None
    assert (cluster.name, cluster.settings.kind) == ("prod", "tke")
    assert cluster.settings.admin_kubeconfig == tmp_path / "admin.kubeconfig"


@pytest.mark.parametrize("text", ["cluster_name: prod\n", "kind: binary\n", "", "# kind: tke\n"])
def test_a_cluster_is_binary_unless_it_says_otherwise(tmp_path: Path, text: str) -> None:
    assert cloud_inventory.read(written(tmp_path, text)) is None
    assert not cloud_inventory.is_one(tmp_path)


def test_an_unknown_kind_is_told_with_all_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kind 'doks'") as refused:
        cloud_inventory.read(written(tmp_path, "kind: doks\n"))
    assert all(kind in refused.value.hint for kind in KINDS)


def test_a_mistake_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        cloud_inventory.read(written(tmp_path, f"{TKE}wait_seconds: soon\nzone: a\n"))
    lines = refused.value.message.splitlines()
    assert any(line.startswith(f"{tmp_path}/group_vars/all.yml: wait_seconds: ") for line in lines)
    assert any(": zone: " in line for line in lines)


def test_what_one_cloud_needs_another_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="project"):
        cloud_inventory.read(written(tmp_path, f"{TKE}project: p\n"))


def test_hosts_beside_a_managed_cluster_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").touch()
    with pytest.raises(InputError, match=r"no hosts\.yml"):
        cloud_inventory.read(written(tmp_path, TKE))


def test_the_example_is_a_cluster_and_names_every_variable() -> None:
    example = assets.INVENTORIES / "example-cloud"
    assert cloud_inventory.read(example) is not None
    text = (example / cloud_inventory.VARIABLES).read_text(encoding="utf-8")
    fields = {name for model in (Managed, Eks, Gke, Aks) for name in model.model_fields}
    assert {name for name in fields if f"\n{name}: " not in text and f"\n# {name}:" not in text} == set()


def test_every_kind_has_its_model() -> None:
    schema = MANAGED.json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(KINDS)
