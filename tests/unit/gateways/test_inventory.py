"""The inventory as Ansible reads it and as scaler writes it, on real files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from scaler.errors import InputError
from scaler.gateways import inventory

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.model.inventory import Host

HOSTS = """\
# The head.
all:
  children:
    masters:
      hosts:
        m1: {ansible_host: 192.0.2.11}  # the first
    etcd:
      hosts:
        m1:
    workers:
      hosts:
        w1: {ansible_host: 192.0.2.21}
    standby:
      # Waiting.
      hosts:
        n1: {ansible_host: 192.0.2.31, ansible_port: 2222}  # rack 3
        n2: {ansible_host: 192.0.2.32}
"""
VARIABLES = """\
cluster_name: prod
kubernetes_version: "1.20.2"
etcd_version: "3.4.23"
api_endpoint: 192.0.2.10:6443
pod_cidr: 10.244.0.0/16
service_cidr: 10.96.0.0/16
cluster_dns: 10.96.0.10
"""
reads = pytest.mark.ansible


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(VARIABLES)
    (tmp_path / "hosts.yml").write_text(HOSTS)
    return tmp_path


def change(place: Path, old: str, new: str, name: str = "hosts.yml") -> None:
    path = place / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def refused(place: Path) -> str:
    with pytest.raises(InputError) as caught:
        inventory.read(place)
    return f"{caught.value.message} {caught.value.hint}"


@reads
def test_an_inventory_is_read_with_its_groups_and_connections(place: Path) -> None:
    cluster = inventory.read(place)
    assert [host.name for host in cluster.standby] == ["n1", "n2"]
    assert cluster.hosts()["n1"].connection.port == 2222
    assert cluster.settings.known_hosts == place / "known_hosts"


@reads
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("192.0.2.31", "999.1.1.1", "host n1: ansible_host: is not an IP address (given: '999.1.1.1')"),
        ("192.0.2.31", "010.0.2.31", "host n1: ansible_host: is not an IP address"),
        ("ansible_port: 2222", "ansible_port: 70000", "host n1: ansible_port: "),
        ("        n2: {", "        N2: {", "is not a host name"),
        ("        n2: {", "        '{{ evil }}': {", "is not a host name"),
        ("        n2: {", "        'n2;reboot': {", "is not a host name"),
        ("192.0.2.32", "192.0.2.21", "address 192.0.2.21 belongs to both"),
        (
            "ansible_port: 2222",
            "kubelet_max_pod: 50",
            "unknown variable kubelet_max_pod did you mean kubelet_max_pods?",
        ),
        ("ansible_port: 2222", "kubelet_max_pods: many", "kubelet_max_pods: 'many' is not of type int"),
        ("ansible_port: 2222", "pool: wbe", "host n1: pool: 'wbe' is not one of the cluster's pools (none)"),
        ("ansible_port: 2222", "failure_domain: Rack 2", "host n1: failure_domain: is not a plain word"),
        ("        m1: {ansible_host: 192.0.2.11}  # the first", "        {}", "group 'masters' is empty"),
        ("    etcd:", "   etcd:", "hosts.yml:"),
        ("        n2: {ansible_host", "        n1: {ansible_host", "hosts.yml:17"),
    ],
)
def test_a_mistake_in_the_hosts_is_told_with_its_place(place: Path, old: str, new: str, told: str) -> None:
    change(place, old, new)
    assert told in refused(place)


@reads
def test_pools_are_read_and_a_host_keeps_its_own_when_it_moves(place: Path) -> None:
    with (place / "group_vars" / "all.yml").open("a") as file:
        file.write("pools:\n  web: {min: 1, labels: {disk: ssd}, taints: ['dedicated=web:NoSchedule'], cpu: 8}\n")
    change(place, "ansible_port: 2222", "ansible_port: 2222, pool: web, failure_domain: rack-3")
    cluster = inventory.read(place)
    assert (cluster.settings.pools["web"].min, cluster.settings.pools["web"].cpu) == (1, "8")
    n1 = cluster.hosts()["n1"]
    assert (n1.pool, n1.failure_domain) == ("web", "rack-3")
    inventory.move(cluster, [n1], "workers")
    assert inventory.read(place).working("web") == (n1,)


@reads
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"1.20.2"', '"1.19.0"', "group_vars/all.yml: kubernetes_version 1.19.0 is not one of 1.20 to 1.37"),
        ("10.96.0.10", "10.99.0.10", "cluster_dns 10.99.0.10 is not in service_cidr"),
        ("etcd_version", "etcd_versoin", "unknown variable etcd_versoin did you mean etcd_version?"),
        ("cluster_name: prod", "cluster_name: \"{{ lookup('pipe', 'id') }}\"", "cluster_name: is not a host name"),
    ],
)
def test_a_mistake_in_the_variables_is_told_with_its_place(place: Path, old: str, new: str, told: str) -> None:
    change(place, old, new, "group_vars/all.yml")
    assert told in refused(place)


@reads
def test_a_lookup_in_a_variable_is_data_and_never_runs(place: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    change(place, "ansible_port: 2222", f"kubelet_resolv_conf: \"{{{{ lookup('pipe', 'touch {canary}') }}}}\"")
    cluster = inventory.read(place)
    assert "lookup" in str(cluster.hosts()["n1"].variables["kubelet_resolv_conf"])
    assert not canary.exists()


@reads
def test_a_variable_of_the_operators_own_is_left_alone(place: Path) -> None:
    change(place, "ansible_port: 2222", "x_rack: 3")
    assert inventory.read(place).hosts()["n1"].variables == {}


@reads
def test_hosts_that_joined_move_to_the_workers_and_everything_else_stays(place: Path) -> None:
    cluster = inventory.read(place)
    (place / "hosts.yml").chmod(0o640)
    inventory.move(cluster, [cluster.hosts()["n1"]], "workers")
    text = (place / "hosts.yml").read_text()
    assert text.startswith("# The head.\n")
    assert "# the first" in text
    assert "# Waiting." in text
    workers, standby = text.split("standby:")
    assert "n1: {ansible_host: 192.0.2.31, ansible_port: 2222}" in workers
    assert "n1:" not in standby
    assert "n2: {ansible_host: 192.0.2.32}" in standby
    assert (place / "hosts.yml").stat().st_mode & 0o777 == 0o640
    again = inventory.read(place)
    assert [host.name for host in again.workers] == ["w1", "n1"]


@reads
@pytest.mark.parametrize("names", [["n1"], ["n2"], ["n1", "n2"]])
def test_the_file_is_what_it_was_once_all_are_back_on_standby(place: Path, names: list[str]) -> None:
    before = (place / "hosts.yml").read_bytes()
    cluster = inventory.read(place)
    inventory.move(cluster, [cluster.hosts()[name] for name in names], "workers")
    cluster = inventory.read(place)
    inventory.leave(cluster, [cluster.hosts()[name] for name in reversed(names)], [], ["workers"])
    assert (place / "hosts.yml").read_bytes() == before


@reads
def test_where_standby_is_in_no_order_a_host_comes_last(place: Path) -> None:
    change(place, "        n2: {ansible_host: 192.0.2.32}\n", "        a1: {ansible_host: 192.0.2.32}\n")
    cluster = inventory.read(place)
    inventory.leave(cluster, [cluster.hosts()["w1"]], [], ["workers"])
    assert [host.name for host in inventory.read(place).standby] == ["n1", "a1", "w1"]


@reads
def test_a_host_of_a_nested_standby_group_moves_too(place: Path) -> None:
    change(place, "    standby:\n", "    spare:\n      children:\n        standby:\n")
    text = (place / "hosts.yml").read_text()
    head, tail = text.split("        standby:\n")
    (place / "hosts.yml").write_text(head + "        standby:\n" + tail.replace("      ", "          "))
    cluster = inventory.read(place)
    inventory.move(cluster, [cluster.hosts()["n2"]], "workers")
    assert [host.name for host in inventory.read(place).workers] == ["w1", "n2"]


@reads
def test_a_host_given_on_the_command_line_is_written_with_its_connection(place: Path) -> None:
    cluster = inventory.read(place)
    base: Host = cluster.hosts()["w1"]
    connection = base.connection.model_copy(update={"address": "192.0.2.99", "user": "ops"})
    inventory.move(cluster, [base.model_copy(update={"name": "n9", "connection": connection})], "workers")
    written = inventory.read(place).hosts()["n9"].connection
    assert (written.address, written.user) == ("192.0.2.99", "ops")


@reads
def test_what_stands_before_the_document_stays(place: Path) -> None:
    head = "# Owned by ops.\n\n---\n"
    (place / "hosts.yml").write_text(head + HOSTS)
    cluster = inventory.read(place)
    inventory.move(cluster, [cluster.hosts()["n2"]], "workers")
    assert (place / "hosts.yml").read_text().startswith(head + "# The head.\nall:\n")
    assert [host.name for host in inventory.read(place).workers] == ["w1", "n2"]


@reads
@pytest.mark.parametrize("all_", ["", "all:\n"])
def test_groups_at_the_top_of_the_file_are_written_there(place: Path, all_: str) -> None:
    groups = "".join(line.removeprefix("    ") for line in HOSTS.splitlines(keepends=True)[3:])
    (place / "hosts.yml").write_text(all_ + groups)
    cluster = inventory.read(place)
    inventory.move(cluster, [cluster.hosts()["n1"]], "workers")
    again = inventory.read(place)
    assert [host.name for host in again.workers] == ["w1", "n1"]
    assert [host.name for host in again.standby] == ["n2"]


@reads
def test_an_empty_group_takes_a_host(place: Path) -> None:
    text = (place / "hosts.yml").read_text()
    (place / "hosts.yml").write_text(text.split("    workers:")[0] + "    workers:\n    standby:\n")
    cluster = inventory.read(place)
    new = cluster.masters[0].model_copy(update={"name": "n9"})
    moved = new.model_copy(update={"connection": new.connection.model_copy(update={"address": "192.0.2.99"})})
    inventory.move(cluster, [moved], "workers")
    assert [host.name for host in inventory.read(place).workers] == ["n9"]


@reads
def test_a_value_with_a_tag_of_ansibles_is_read(place: Path) -> None:
    change(place, "ansible_port: 2222", "x_note: !unsafe '{{ not a template }}'")
    assert inventory.read(place).hosts()["n1"].address == "192.0.2.31"


@pytest.mark.parametrize("more", ["cluster_name: other\n", "images: [\n"])
def test_variables_that_are_given_twice_or_broken_are_told_with_their_line(place: Path, more: str) -> None:
    with (place / "group_vars" / "all.yml").open("a") as file:
        file.write(more)
    assert "group_vars/all.yml:8" in refused(place) or "group_vars/all.yml:9" in refused(place)


@reads
def test_a_finding_about_the_whole_names_what_matters_and_nothing_else(place: Path) -> None:
    change(place, "192.0.2.32", "192.0.2.21")
    assert refused(place) == f"{place}/hosts.yml: address 192.0.2.21 belongs to both w1 and n2 "


@reads
def test_a_file_that_was_edited_meanwhile_is_not_written(place: Path) -> None:
    cluster = inventory.read(place)
    change(place, "# The head.", "# By hand.")
    before = (place / "hosts.yml").read_bytes()
    with pytest.raises(InputError, match="was changed while this run went on"):
        inventory.move(cluster, [cluster.hosts()["n1"]], "workers")
    assert (place / "hosts.yml").read_bytes() == before


def test_an_inventory_is_found_by_path_by_variable_and_by_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inventory.find(str(place)) == place
    named = place / "prod"
    named.mkdir()
    shutil.copy2(place / "hosts.yml", named)
    monkeypatch.setenv("SCALER_INVENTORIES", str(place))
    assert inventory.find("prod") == named
    assert inventory.find("elsewhere", [place]) == place


def test_an_inventory_that_is_nowhere_is_refused_with_the_places_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_INVENTORIES", "/somewhere")
    with pytest.raises(InputError, match=r"/somewhere/prod/hosts\.yml, inventories/prod/hosts\.yml"):
        inventory.find("prod")


def test_broken_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all:\n  children:\n\tmasters:\n")
    assert "hosts.yml:3" in refused(tmp_path)


@reads
def test_groups_in_a_circle_are_refused_with_their_names(place: Path) -> None:
    circle = "    spare: {children: {more: {}}}\n    more: {children: {spare: {}}}\n"
    change(place, "    standby:\n", f"{circle}    standby:\n")
    told = refused(place)
    assert f"{place}/hosts.yml: Ansible cannot read it: Adding group 'spare' as child to 'more'" in told
