from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import add_etcd, add_master
from scaler.errors import GuardError, InputError, IntegrityError, PreflightError, UnreachableError
from scaler.model.etcd import Alarm, HashKv
from scaler.pki.certificates import SERVER, Subject, issue, new_ca
from scaler.plan.recipes.add_master import MEMBER, REHEARSAL, SERVICE
from scaler.steps.master_credentials import apiserver_subject, read_pair
from tests.fakes.clock import BEGIN
from tests.fakes.control_plane import APISERVER, FakeControlPlane
from tests.fakes.etcd import FakeMember
from tests.fakes.session import VerifiedStore, facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scaler.plan.plan import Plan

M2 = FakeControlPlane.host("m2")


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def there(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "m2", "m3", vip=True)


@pytest.fixture
def members(tmp_path: Path) -> FakeControlPlane:
    return FakeControlPlane(tmp_path, "e2", "e3", etcd=1)


def prepared(there: FakeControlPlane, *, allow_even: bool = False, only: int = 2) -> Plan:
    prepare: Callable[..., Plan] = add_etcd.prepare if there.makes == "etcd" else add_master.prepare
    return prepare(there.session(), there.new[:only], allow_even=allow_even, progress=lambda _: None)


def refused(there: FakeControlPlane, kind: type[Exception] = PreflightError) -> Any:
    """Return the refusal; nothing may have been touched."""
    before = (list(there.events), list(there.etcd.history))
    with pytest.raises(kind) as caught:
        prepared(there)
    assert (there.events, there.etcd.history) == before
    assert there.machines["m2" if "m2" in there.machines else "e2"].files == {}
    return caught.value


def ready_made(there: FakeControlPlane, authority: str, subject: Subject, name: str = "apiserver") -> None:
    pki = there.settings.pki_dir
    directory = pki / "hosts" / "m2"
    directory.mkdir(parents=True)
    signer = new_ca("another", BEGIN) if authority == "another" else read_pair(pki, authority)
    pair = issue(signer, subject, [SERVER], BEGIN)
    (directory / f"{name}.crt").write_bytes(pair.certificate)
    (directory / f"{name}.key").write_bytes(pair.key)
    (directory / f"{name}.key").chmod(0o600)


def test_two_new_masters_are_planned_one_after_the_other_and_nothing_is_changed(there: FakeControlPlane) -> None:
    plan = prepared(there)
    names = [spec.step for spec in plan.steps if spec.hosts == ("m2",)]
    assert names[: len(REHEARSAL) + len(MEMBER) + len(SERVICE)] == [*REHEARSAL, *MEMBER, *SERVICE]
    assert [spec.hosts for spec in plan.steps] == sorted(spec.hosts for spec in plan.steps)
    assert plan.warnings[-1].startswith("once m2 votes there are 2 voters and quorum is 2")
    assert there.events == []


def test_the_first_rule_is_an_odd_number_of_voters(there: FakeControlPlane) -> None:
    with pytest.raises(GuardError, match="an even number of voters") as caught:
        prepared(there, only=1)
    assert "--allow-even" in caught.value.hint
    assert not prepared(there, only=1, allow_even=True).empty


@pytest.mark.parametrize("name", ["ca.key", "ca.crt", "etcd-ca.key", "front-proxy-ca.crt", "sa.key", "encryption.yaml"])
def test_what_is_missing_in_pki_dir_is_refused_by_its_name(there: FakeControlPlane, name: str) -> None:
    (there.settings.pki_dir / name).unlink()
    assert f"{name} is missing" in refused(there, InputError).message


@pytest.mark.parametrize("name", ["ca.key", "sa.key", "encryption.yaml"])
def test_a_secret_that_others_can_read_is_refused_with_its_mode(there: FakeControlPlane, name: str) -> None:
    (there.settings.pki_dir / name).chmod(0o644)
    told = refused(there, InputError)
    assert f"{name} can be read by others (mode 0644)" in told.message
    assert told.hint.startswith("chmod 600")


def test_a_key_of_another_authority_is_refused(there: FakeControlPlane) -> None:
    (there.settings.pki_dir / "ca.key").write_bytes(new_ca("another", BEGIN).key)
    assert "the CA's key does not belong to its certificate" in refused(there, InputError).message


def test_an_authority_that_the_living_masters_do_not_have_is_refused(there: FakeControlPlane) -> None:
    pair = new_ca("another", BEGIN)
    (there.settings.pki_dir / "etcd-ca.crt").write_bytes(pair.certificate)
    (there.settings.pki_dir / "etcd-ca.key").write_bytes(pair.key)
    assert "m1: --etcd-cafile names another file than etcd-ca.crt in pki_dir" in refused(there).message


@pytest.mark.parametrize(("days", "fit"), [(3560, True), (3635, False), (3700, False)])
def test_an_authority_that_ends_soon_is_refused(there: FakeControlPlane, days: int, fit: bool) -> None:  # noqa: FBT001
    there.fakes.clock.jump(timedelta(days=days).total_seconds())
    if fit:
        assert not prepared(there).empty
    else:
        assert "the CA ends in" in refused(there, InputError).message


def test_a_ready_made_certificate_without_the_vip_is_refused_by_that_address(there: FakeControlPlane) -> None:
    whole = apiserver_subject(there.world.cluster, M2)
    ready_made(there, "ca", whole._replace(addresses=tuple(a for a in whole.addresses if a != "10.0.0.100")))
    told = refused(there, InputError)
    assert "hosts/m2/apiserver: does not carry 10.0.0.100" in told.message


def test_a_ready_made_certificate_of_another_authority_is_refused(there: FakeControlPlane) -> None:
    ready_made(there, "another", apiserver_subject(there.world.cluster, M2))
    assert "not a certificate of this cluster's authority" in refused(there, InputError).message


def test_a_ready_made_certificate_that_is_whole_is_fit(there: FakeControlPlane) -> None:
    ready_made(there, "ca", apiserver_subject(there.world.cluster, M2))
    assert not prepared(there).empty


def test_an_etcd_without_learners_is_refused(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m2", "m3", etcd_version="3.3.27")
    assert "etcd 3.3.27 has no learners" in refused(there, GuardError).message


def test_another_minor_of_etcd_than_the_clusters_is_refused(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m2", "m3", etcd_version="3.5.21")
    assert "the inventory's etcd_version 3.5.21 is not the cluster's 3.4.23" in refused(there).message


@pytest.mark.parametrize("server", ["1.21.3", "1.19.9"])
def test_another_minor_of_kubernetes_than_the_masters_is_refused(there: FakeControlPlane, server: str) -> None:
    there.fakes.kube.version = server
    told = refused(there)
    assert "1.20.2" in told.message
    assert server in told.message


def test_etcd_that_does_not_stand_firm_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m4", "m5", masters=3)
    there.etcd.stop("10.0.0.3")
    with pytest.raises(GuardError, match="2 of 3 voters are healthy, quorum is 2"):
        prepared(there)


def test_an_alarm_is_refused(there: FakeControlPlane) -> None:
    there.etcd.alarms = (Alarm(member=1, alarm=1),)
    assert "NOSPACE of m1" in refused(there, GuardError).message


def test_a_foreign_learner_is_refused(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(9, "https://10.0.0.99:2380", learner=True, runs=False))
    assert "a learner that no run of scaler's added" in refused(there, GuardError).message


def test_voters_with_different_data_are_refused(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m4", "m5", masters=3)
    there.etcd.digests = {2: HashKv(hash=255)}
    with pytest.raises(GuardError, match="the voters' data differs at revision 50"):
        prepared(there)


def test_masters_that_are_not_alike_are_told_flag_by_flag(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m3", masters=2)
    there.other_flags["m2"] = {"feature-gates": "X=true"}
    with pytest.raises(PreflightError, match="m1 and m2: kube-apiserver --feature-gates: not set here, X=true there"):
        prepared(there)


def test_a_master_without_an_api_server_is_told(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m3", masters=2)
    there.machines["m2"].units.discard(APISERVER)
    with pytest.raises(PreflightError, match="m2: no API server runs there"):
        prepared(there)


def test_a_voter_that_the_inventory_does_not_know_is_refused(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(9, "https://10.0.0.99:2380", "x9"))
    told = refused(there)
    assert "etcd's voters: x9 is none of the inventory's" in told.message
    assert "the same command again finishes it" in told.hint


def test_a_master_of_the_inventory_that_does_not_vote_is_refused(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, "m4", masters=3)
    there.etcd.all.pop()
    with pytest.raises(PreflightError, match="etcd's voters: m3 is missing"):
        prepared(there)


def test_a_backend_that_the_inventory_does_not_know_is_refused(there: FakeControlPlane) -> None:
    balancer = there.balancers["lb1"]
    balancer.servers["x"] = "10.0.0.99"
    balancer._ready = lambda _: True
    assert "backends of lb1: 10.0.0.99 is none of the inventory's" in refused(there).message


def test_a_backend_that_is_missing_is_a_warning_since_the_run_puts_it_right(there: FakeControlPlane) -> None:
    there.balancers["lb2"].servers = {}
    assert "backends of lb2: m1 is missing; this run puts it right" in prepared(there).warnings


@pytest.mark.parametrize("harm", ["unreachable", "silent"])
def test_a_balancer_that_cannot_be_asked_is_refused(there: FakeControlPlane, harm: str) -> None:
    if harm == "unreachable":
        there.fakes.ssh.machines["lb2"].unreachable = True
        refused(there, UnreachableError)
    else:
        there.balancers["lb2"].runs = False
        assert "lb2: HAProxy does not answer" in refused(there, PreflightError).message


@pytest.mark.parametrize("port", [6443, 10257, 2379, 2380])
def test_a_port_of_a_master_that_somebody_has_is_refused(there: FakeControlPlane, port: int) -> None:
    there.fakes.ssh.machines["m2"].facts = facts(M2, listeners=[{"port": port, "process": "nginx"}])
    told = refused(there).message
    assert f"m2: refused: ports: port {port}" in told
    assert "is taken by nginx" in told


def test_data_of_an_earlier_member_is_refused(there: FakeControlPlane) -> None:
    there.fakes.ssh.machines["m2"].facts = facts(M2, leftovers=["/var/lib/etcd"])
    assert "leftovers of an earlier installation: /var/lib/etcd" in refused(there).message


def test_all_findings_of_all_hosts_are_told_at_once(there: FakeControlPlane) -> None:
    there.fakes.ssh.machines["m2"].facts = facts(M2, swaps=["/dev/sda2"])
    there.fakes.ssh.machines["m3"].unreachable = True
    told = refused(there).message
    assert "m2: refused: swap" in told
    assert "m3: refused: unreachable" in told


def test_a_binary_that_is_not_right_is_refused(there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise IntegrityError("etcd is not what the manifest says")

    monkeypatch.setattr(VerifiedStore, "verify", wrong)
    refused(there, IntegrityError)


def test_a_host_that_votes_goes_on_behind_the_promotion(there: FakeControlPlane) -> None:
    there.etcd.all.append(FakeMember(2, "https://10.0.0.2:2380", "m2"))
    there.machines["m2"].units.add("etcd.service")
    there._look(there.machines["m2"])
    names = [spec.step for spec in prepared(there).steps if spec.hosts == ("m2",)]
    assert names[: len(SERVICE)] == list(SERVICE)
    assert not {*REHEARSAL, *MEMBER} & set(names)


def test_masters_that_are_there_need_nothing(tmp_path: Path) -> None:
    there = FakeControlPlane(tmp_path, masters=3)
    plan = add_master.prepare(there.session(), there.world.cluster.masters, allow_even=False, progress=lambda _: None)
    assert (plan.empty, plan.present, plan.warnings) == (True, ("m1", "m2", "m3"), ())


def test_members_of_their_own_hosts_are_planned_without_a_control_plane(members: FakeControlPlane) -> None:
    plan = prepared(members)
    assert plan.makes == "etcd"
    assert not {"control_plane_started", "nodes_registered"} & {s.step for s in plan.steps}


def test_add_etcd_where_masters_have_their_own_members_is_refused(there: FakeControlPlane) -> None:
    with pytest.raises(InputError, match="stands on its masters, a member each") as caught:
        add_etcd.prepare(there.session(), there.new, allow_even=False, progress=lambda _: None)
    assert "add-master" in caught.value.hint


def test_a_journal_of_another_cluster_makes_no_member_ours(there: FakeControlPlane, tmp_path: Path) -> None:
    session = there.session()
    runs = tmp_path / "state" / "other" / "runs"
    runs.mkdir(parents=True)
    (runs / "1.jsonl").write_text('{"kind": "step-fact", "data": {"member": "9"}}\n')
    assert session.own_members() == set()
    shutil.copytree(tmp_path / "state" / "other", tmp_path / "state" / "prod")
    assert session.own_members() == {9}


def test_an_api_that_is_down_refuses_though_etcd_is_well(there: FakeControlPlane) -> None:
    for name in ("lb1", "lb2"):
        there.balancers[name].runs = False
    assert there.etcd.look().leader is not None
    told = refused(there, UnreachableError)
    assert "the API server does not answer" in told.message


def test_an_etcd_that_is_down_refuses_though_the_api_answers(
    there: FakeControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Reads from its cache go on for a while.
    monkeypatch.setattr(there, "ready", lambda _: True)
    there.fakes.kube.unreached = lambda _: ""
    there.etcd.stop("10.0.0.1")
    assert "no quorum, nothing can be changed" in refused(there, GuardError).message
