from __future__ import annotations

import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from scaler.app import asking, status_hosts
from scaler.app import status as use_case
from scaler.engine.events import Event
from scaler.engine.history import VERSION
from scaler.engine.journal import Journal
from scaler.engine.lock import locked
from scaler.errors import PreflightError, ScalerError, UnreachableError
from scaler.gateways.clock import SystemClock
from scaler.gateways.ssh import Said
from scaler.model.etcd import Alarm
from scaler.model.inventory import Connection, Host
from scaler.pki.certificates import Pair, Subject, issue
from scaler.plan.health import problems
from scaler.plan.plan import Plan, StepSpec
from tests.fakes.control_plane import APISERVER, ETCD, FakeControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scaler.model.status import Status


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state" / "prod"


@pytest.fixture
def plane(tmp_path: Path) -> FakeControlPlane:
    made = FakeControlPlane(tmp_path, masters=3, workers=2, vip=True)
    has_dns(made)
    return made


def has_dns(made: FakeControlPlane, *, behind: int = 2, ready: int = 2) -> None:
    meta = {"name": "kube-dns", "namespace": "kube-system"}
    behind_it = [{"ip": f"10.244.0.{n + 2}"} for n in range(behind)]
    for told in (
        {"kind": "Service", "metadata": dict(meta), "spec": {"clusterIP": "10.96.0.10"}},
        {"kind": "Endpoints", "metadata": dict(meta), "subsets": [{"addresses": behind_it}]},
        {
            "kind": "Deployment",
            "metadata": {**meta, "name": "coredns"},
            "spec": {"replicas": 2},
            "status": {"readyReplicas": ready},
        },
    ):
        made.fakes.kube._store(told)


def looked(made: FakeControlPlane) -> Status:
    return use_case.collect(made.session())


def told(seen: Status, *, warnings: bool = False) -> list[str]:
    return [problem.message for problem in problems(seen) if warnings or not problem.warning]


def away(made: FakeControlPlane, *names: str) -> None:
    for name in names:
        made.fakes.ssh.machines[name].unreachable = True
        made._stop(made.machines[name], APISERVER)
        made.etcd.stop(made.machines[name].host.address)


def test_a_cluster_that_is_well_has_no_problem(plane: FakeControlPlane) -> None:
    seen = looked(plane)
    assert told(seen, warnings=True) == []
    assert use_case.error(seen, problems(seen)) is None
    assert [node.name for node in seen.nodes or ()] == ["m1", "m2", "m3", "w1", "w2"]
    assert [(m.name, m.ready, m.version) for m in seen.masters] == [(f"m{n}", True, "1.20.2") for n in (1, 2, 3)]
    assert [(m.name, m.healthy) for m in seen.etcd.members] == [("m1", True), ("m2", True), ("m3", True)]
    assert seen.etcd.leader == "m1"
    assert [(b.name, [x.up for x in b.backends or ()], b.vip) for b in seen.balancers] == [
        ("lb1", [True, True, True], True),
        ("lb2", [True, True, True], False),
    ]
    assert (seen.dns.service, seen.dns.endpoints) == ("kube-dns", 2) if seen.dns else False


def test_nothing_is_written_and_no_lock_taken(plane: FakeControlPlane, state: Path) -> None:
    session = plane.session()
    before = {path: path.stat().st_mtime_ns for path in plane.directory.rglob("*") if path.is_file()}
    use_case.collect(session)
    assert not state.exists()
    assert plane.events == []
    assert {path: path.stat().st_mtime_ns for path in plane.directory.rglob("*") if path.is_file()} == before


def test_with_the_api_down_etcd_hosts_and_balancers_are_shown(plane: FakeControlPlane) -> None:
    for name in ("m1", "m2", "m3"):
        plane._stop(plane.machines[name], APISERVER)
    seen = looked(plane)
    assert seen.nodes is None
    assert [m.healthy for m in seen.etcd.members] == [True, True, True]
    assert [backend.up for backend in seen.balancers[0].backends or ()] == [False, False, False]
    assert set(seen.hosts.values()) == {""}
    assert "nodes, DNS, workloads and the Lease of kube-system" in {each.what for each in seen.unknown}
    assert isinstance(use_case.error(seen, problems(seen)), PreflightError)


def test_with_every_host_away_the_api_is_shown_and_etcd_is_not_called_healthy(plane: FakeControlPlane) -> None:
    for machine in plane.fakes.ssh.machines.values():
        machine.unreachable = True
    seen = looked(plane)
    assert seen.api
    assert len(seen.nodes or ()) == 5
    assert [m.healthy for m in seen.etcd.members] == [None, None, None]
    assert [b.backends for b in seen.balancers] == [None, None]
    assert "etcd: 0 of 3 voters are known to be healthy, 3 could not be asked; quorum is 2" in told(seen)
    assert {each.what for each in seen.unknown} >= {"host m1", "host lb2", "etcd's member list"}


def test_where_nothing_answers_that_is_the_answer(plane: FakeControlPlane) -> None:
    away(plane, "m1", "m2", "m3")
    for name in ("lb1", "lb2"):
        plane.fakes.ssh.machines[name].unreachable = True
    seen = looked(plane)
    assert isinstance(use_case.error(seen, problems(seen)), UnreachableError)


def test_one_master_away_is_named_and_the_others_are_shown(plane: FakeControlPlane) -> None:
    away(plane, "m2")
    seen = looked(plane)
    assert [(m.name, m.healthy) for m in seen.etcd.members] == [("m1", True), ("m2", None), ("m3", True)]
    assert [(m.name, m.ready) for m in seen.masters] == [("m1", True), ("m2", False), ("m3", True)]
    assert any(line.startswith("host m2: not known: m2: SSH") for line in told(seen))
    assert not any("quorum" in line for line in told(seen))


def test_without_its_balancer_the_api_is_asked_of_a_master(plane: FakeControlPlane) -> None:
    plane.balancers["lb1"].runs = False
    seen = looked(plane)
    assert (seen.api, seen.told_by, len(seen.nodes or ())) == (False, "m1", 5)
    assert any(line.startswith("the API does not answer through 10.0.0.100:6443") for line in told(seen))
    assert any(line.startswith("load balancer lb1: not known: lb1: HAProxy does not answer") for line in told(seen))


def test_a_member_that_is_stopped_is_not_healthy(plane: FakeControlPlane) -> None:
    plane._stop(plane.machines["m3"], ETCD)
    seen = looked(plane)
    assert [m.healthy for m in seen.etcd.members] == [True, True, False]
    assert any(line.startswith("etcd: m3 is not healthy") for line in told(seen))


def test_without_quorum_the_members_are_still_told(plane: FakeControlPlane) -> None:
    for name in ("m2", "m3"):
        plane._stop(plane.machines[name], ETCD)
    plane.sick.add(("m1", ETCD))
    seen = looked(plane)
    assert [(m.name, m.healthy) for m in seen.etcd.members] == [("m1", False), ("m2", False), ("m3", False)]
    assert seen.etcd.leader == ""
    assert "etcd: 0 of 3 voters are known to be healthy; quorum is 2" in told(seen)


def test_alarms_a_full_database_and_a_lagging_member_are_told(plane: FakeControlPlane) -> None:
    plane.etcd.alarms = (Alarm.model_validate({"memberID": 2, "alarm": 1}),)
    plane.etcd.db_size = int(0.9 * (2 << 30))
    seen = looked(plane)
    assert "etcd: m2 has raised the alarm NOSPACE" in told(seen)
    assert "etcd: the database of m1 takes 90% of its quota" in told(seen)


def test_a_learner_is_a_difference(plane: FakeControlPlane) -> None:
    plane.etcd.add_learner("https://10.0.0.9:2380")
    assert "sets differ: 1 learners in etcd" in told(looked(plane))


def test_sets_that_differ_are_told(plane: FakeControlPlane) -> None:
    del plane.balancers["lb2"].servers["m3"]
    plane.machines["m1"].lists = plane.machines["m1"].lists[:2]
    lines = told(looked(plane))
    assert "sets differ: backends of lb2 lacks m3, which masters in the inventory has" in lines
    assert "sets differ: etcd list of m1 lacks m3, which etcd's voters has" in lines


def test_nodes_that_are_not_ready_cordoned_missing_or_foreign_are_told(plane: FakeControlPlane) -> None:
    kube = plane.fakes.kube
    kube.add_node("w1", ready=False, why="container runtime is down", unschedulable=True)
    kube.add_node("stranger")
    del kube.objects["Node", "", "w2"]
    assert set(told(looked(plane), warnings=True)) == {
        "node w1 is not Ready: container runtime is down",
        "node w1 is cordoned",
        "w2 is in the inventory, and there is no such Node",
        "node stranger is not in the inventory",
    }


def test_dns_without_addresses_is_told(tmp_path: Path) -> None:
    made = FakeControlPlane(tmp_path)
    has_dns(made, behind=0, ready=0)
    assert told(looked(made)) == [
        "DNS: nothing stands behind Service kube-dns",
        "Deployment coredns: 0 of 2 pods are ready",
    ]


@pytest.mark.parametrize(("vip_of", "line"), [("", "no load balancer holds VIP 10.0.0.100"), ("lb2", "")])
def test_a_vip_that_nobody_holds_is_told(plane: FakeControlPlane, vip_of: str, line: str) -> None:
    plane.holder = vip_of
    assert told(looked(plane)) == ([line] if line else [])


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (365, []),
        (20, [("certificate of m1: 10.0.0.1:6443 ends in 20 days", True)]),
        (3, [("certificate of m1: 10.0.0.1:6443 ends in 3 days", False)]),
        (-2, [("certificate of m1: 10.0.0.1:6443 is over since 2026-02-27", False)]),
    ],
)
def test_a_certificate_that_ends_soon_is_told(tmp_path: Path, days: int, expected: list[tuple[str, bool]]) -> None:
    made = FakeControlPlane(tmp_path)
    has_dns(made)
    pki, now = made.settings.pki_dir, made.fakes.clock.now()
    ca = Pair((pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes())
    then = now + timedelta(days=days) - timedelta(days=365) + timedelta(minutes=1)
    made.certificate = issue(ca, Subject("kube-apiserver"), [], then).certificate.decode()
    found = problems(looked(made))
    assert [(problem.message, problem.warning) for problem in found] == expected


def test_an_unfinished_run_is_told_and_one_that_goes_on_is_no_problem(plane: FakeControlPlane) -> None:
    at = datetime(2026, 3, 1, 1, tzinfo=UTC)

    def begin(journal: Journal, run: str, host: str) -> None:
        new = Host(name=host, connection=Connection(address="10.0.0.99"))
        steps = (StepSpec(step="master_staged", hosts=(host,)),)
        plan = Plan(change="add-master", cluster="prod", hosts=(new,), steps=steps)
        journal.hear(Event(kind="run-started", at=at, run=run, hosts=(host,), data=plan.to_json(), version=VERSION))

    with closing(Journal("prod", "a")) as journal:
        begin(journal, "a", "m4")
    with closing(Journal("prod", "b")) as journal:
        begin(journal, "b", "m5")
        journal.hear(Event(kind="step-intent", at=at, run="b", step="master_staged", hosts=("m5",)))
        journal.hear(Event(kind="step-done", at=at, run="b", step="master_staged", hosts=("m5",)))
        journal.hear(Event(kind="run-ended", at=at, run="b", data={"status": "done"}))
    with closing(Journal("prod", "c")) as journal:
        begin(journal, "c", "m6")
        with locked("prod", "add-node w3"):
            seen = looked(plane)
    assert [(run.run, run.running) for run in seen.runs] == [("a", False), ("c", True)]
    assert seen.lock is not None
    assert seen.lock.doing == "add-node w3"
    assert told(seen) == ["run a (add-master m4) is unfinished"]


def test_a_lock_that_a_killed_run_left_is_nobodys(plane: FakeControlPlane, state: Path) -> None:
    state.mkdir(parents=True)
    (state / "lock").touch()
    (state / "lock.holder").write_text(json.dumps({"user": "ops", "pid": 1, "doing": "add-node"}))
    assert looked(plane).lock is None


def test_an_expired_lease_is_told(plane: FakeControlPlane) -> None:
    spec = {"holderIdentity": "ops@desk", "renewTime": "2026-03-01T01:00:00.000000Z", "leaseDurationSeconds": 30}
    plane.fakes.kube._store({"kind": "Lease", "metadata": {"name": "scaler", "namespace": "kube-system"}, "spec": spec})
    assert told(looked(plane)) == ["Lease kube-system/scaler of ops@desk is expired, and nobody gave it back"]


def test_of_local_balancers_a_few_are_asked_and_the_rest_counted(tmp_path: Path) -> None:
    made = FakeControlPlane(tmp_path, workers=23, balancers=0, loadbalancer="local")
    seen = looked(made)
    assert len(seen.balancers) == status_hosts.LOCAL_LIMIT
    assert seen.balancers_left == 3
    assert "w21" not in seen.hosts


def test_an_answer_that_makes_no_sense_is_not_known(plane: FakeControlPlane) -> None:
    def nonsense(host: Any, argv: list[str], _: str) -> Any:
        if host.name == "m2" and "proxy_mode" in " ".join(argv):
            raise ValueError("not JSON")
        return None

    plane.fakes.ssh.programs.insert(0, nonsense)
    assert told(looked(plane)) == ["what runs on m2: not known: ValueError: not JSON"]


@pytest.fixture
def deaf() -> Iterator[Callable[[], str]]:
    """Somebody who does not answer before the test is over."""
    over = threading.Event()

    def waits() -> str:
        over.wait(timeout=60)
        return "too late"

    yield waits
    over.set()


def test_who_is_late_does_not_hold_up_the_others(deaf: Callable[[], str]) -> None:
    clock = SystemClock()
    began = clock.monotonic()
    answers = asking.at_once(clock, {"deaf": deaf, "well": lambda: "here"}, seconds=0.2)
    assert clock.monotonic() - began < 5
    assert answers["well"] == "here"
    assert isinstance(answers["deaf"], ScalerError)
    assert answers["deaf"].message == "no answer within 0.2 s"


def test_etcd_on_hosts_of_its_own_is_asked_there(tmp_path: Path) -> None:
    made = FakeControlPlane(tmp_path, masters=2, etcd=3)
    has_dns(made)
    made._stop(made.machines["e2"], ETCD)
    seen = looked(made)
    assert [(m.name, m.healthy) for m in seen.etcd.members] == [("e1", True), ("e2", False), ("e3", True)]
    assert set(seen.hosts) == {"m1", "m2", "e1", "e2", "e3", "lb1", "lb2"}
    assert len(told(seen)) == 1


def test_whether_a_balancer_holds_the_vip_is_not_guessed(plane: FakeControlPlane) -> None:
    def mute(host: Any, argv: list[str], _: str) -> Any:
        return Said(1, "", "ip: not found") if host.name == "lb1" and argv[0] == "ip" else None

    plane.fakes.ssh.programs.insert(0, mute)
    (line,) = told(looked(plane))
    assert line.startswith("whether lb1 holds the VIP: not known")


def test_an_answer_of_etcd_that_was_lost_is_no_sign_of_illness(plane: FakeControlPlane) -> None:
    class Lost:
        def status(self, _: object) -> Any:
            raise UnreachableError("m2: lost while running env")

    session = plane.session()
    etcd_on = session.etcd_on
    session.etcd_on = lambda host: Lost() if host.name == "m2" else etcd_on(host)  # type: ignore[method-assign,assignment,return-value]
    seen = use_case.collect(session)
    assert [m.healthy for m in seen.etcd.members] == [True, None, True]
    assert told(seen) == ["etcd member m2: not known: m2: lost while running env"]
