from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from scaler.errors import InputError
from scaler.steps.inventory_pruned import STEP
from tests.fakes.leaving import INVENTORY, leaving

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.world import Fakes


def written(fakes: Fakes, directory: Path, text: str) -> None:
    (directory / "hosts.yml").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    fakes.world.cluster = fakes.world.cluster.model_copy(update={"hosts_digest": digest})


def text(directory: Path) -> str:
    return (directory / "hosts.yml").read_text()


def test_a_living_host_goes_on_standby_with_what_reaches_it_and_its_comments(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    workers, _, standby = text(tmp_path).partition("standby:")
    assert "n1" not in workers
    assert "ansible_host: 10.0.0.11  # a lease" in standby
    assert "n2:" in workers
    assert text(tmp_path).startswith("# The cluster prod.\n")
    assert "workers:  # who work" in workers


def test_a_dead_host_is_dropped(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", dead=("n1",))
    STEP.apply(fakes.world, fakes.hosts)
    assert "n1" not in text(tmp_path)
    assert "n2:" in text(tmp_path)


def test_the_next_host_of_the_run_finds_the_cluster_without_it(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", "n2")
    for each in fakes.hosts:
        STEP.apply(fakes.world, [each])
    assert [host.name for host in fakes.world.cluster.workers] == ["w1"]
    assert [host.name for host in fakes.world.cluster.standby] == ["n1", "n2"]
    assert "n2:" in text(tmp_path).partition("standby:")[2]


def test_a_host_with_another_duty_keeps_it_and_its_variables(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    written(fakes, tmp_path, INVENTORY + "    loadbalancers:\n      hosts:\n        n1:\n")
    balancers = {"loadbalancers": fakes.hosts}
    fakes.world.cluster = fakes.world.cluster.model_copy(update=balancers)
    STEP.apply(fakes.world, fakes.hosts)
    before, _, after = text(tmp_path).partition("loadbalancers:")
    assert "n1" not in before
    assert "ansible_host: 10.0.0.11" in after
    assert "standby" not in text(tmp_path)


def test_a_host_that_only_a_range_names_is_refused_and_the_file_is_left(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    ranged = INVENTORY.replace("n1:  # in the cellar", "n[1:1]:")
    written(fakes, tmp_path, ranged)
    with pytest.raises(InputError, match="not written there by its own name"):
        STEP.apply(fakes.world, fakes.hosts)
    assert text(tmp_path) == ranged


def test_a_file_that_was_edited_during_the_run_is_left_as_it_is(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    edited = INVENTORY + "# by hand\n"
    (tmp_path / "hosts.yml").write_text(edited, encoding="utf-8")
    with pytest.raises(InputError, match="was changed while this run went on"):
        STEP.apply(fakes.world, fakes.hosts)
    assert text(tmp_path) == edited


def test_a_master_leaves_all_its_groups(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    more = "    etcd:\n      hosts:\n        m1: {}\n        n1: {}\n"
    written(fakes, tmp_path, INVENTORY.replace("    workers:", more + "    workers:"))
    cluster = fakes.world.cluster
    masters = (*cluster.masters, *fakes.hosts)
    fakes.world.cluster = cluster.model_copy(update={"masters": masters, "etcd": masters})
    fakes.world.plan = fakes.world.plan.model_copy(update={"leaves": "masters"})
    STEP.apply(fakes.world, fakes.hosts)
    before, _, standby = text(tmp_path).partition("standby:")
    assert "n1" not in before
    assert "ansible_host: 10.0.0.11" in standby
    assert [h.name for h in fakes.world.cluster.etcd] == ["m1"]
