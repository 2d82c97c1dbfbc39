from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scaler.app import inventories
from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.gateways.ssh import Said
from tests.fakes import world
from tests.fakes.session import FakeSession, Opened, facts, session

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.model.inventory import Host

N1, N2 = (
    host.model_copy(update={"pool": "web", "failure_domain": rack})
    for host, rack in zip(world.hosts("n1", "n2"), ("a", "b"), strict=True)
)
W1 = world.host("w1", 2)
CLOUD = "kind: gke\ncluster_name: far\nregion: europe-west1\ncluster_id: far\nproject: p\n"


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    pools = {"web": {"max": 2, "labels": {"disk": "ssd"}}}
    made = session(tmp_path, (N1, N2), standby=(N1, N2), workers=(W1,), pools=pools)

    monkeypatch.setenv("SCALER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(made))
    return made


def told(*argv: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, [*argv, "--cluster", "prod", "--output", "json"])
    return done.exit_code, json.loads(done.stdout)


def printed(*argv: str) -> str:
    return CliRunner().invoke(app, [*argv, "--cluster", "prod"]).stdout


@pytest.mark.parametrize("option", ["--autoscaler=keep", "--rollback", "--verify", "--provider-picks"])
def test_what_only_a_cloud_has_is_refused_by_its_name(live: FakeSession, option: str) -> None:
    del live
    code, envelope = told("scale", "--workers", "2", option)
    assert (code, envelope["error"]["message"]) == (
        3,
        f"prod is a binary cluster, {option.partition('=')[0]} is not for it",
    )


@pytest.mark.parametrize("option", [("--workers", "3"), ("--partial",)])
def test_what_only_hosts_have_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: tuple[str, ...]
) -> None:
    (tmp_path / "prod" / "group_vars").mkdir(parents=True)
    (tmp_path / "prod" / "group_vars" / "all.yml").write_text(CLOUD)
    monkeypatch.setattr(inventories, "directory_of", lambda _: tmp_path / "prod")
    code, envelope = told("scale", "--pool", "web", "--to", "3", *option)
    assert code == 3
    assert envelope["error"]["message"] == f"cluster far is of kind gke, {option[0]} is not for it"


@pytest.mark.parametrize(
    "argv", [("--pool", "web"), ("--to", "3"), ("--workers", "3", "--to", "3"), ("--workers", "3", "--pool", "web")]
)
def test_half_a_size_or_two_are_refused(live: FakeSession, argv: tuple[str, ...]) -> None:
    del live
    code, envelope = told("scale", *argv)
    assert (code, envelope["error"]["hint"]) == (3, "say --workers SIZE for all workers, or --pool POOL --to SIZE")


def test_a_plan_says_who_comes_what_the_node_carries_and_what_was_asked_for(live: FakeSession) -> None:
    code, envelope = told("scale", "--pool", "web", "--to", "1", "--plan")
    assert code == 0
    data = envelope["data"]
    assert ([host["name"] for host in data["plan"]["hosts"]], data["pool"]) == (["n1"], "web")
    assert (data["before"], data["size"], data["short"], data["passed_over"]) == (0, 1, 0, {})
    text = printed("scale", "--pool", "web", "--to", "1", "--plan")
    assert "n1 carries scaler.dev/pool=web, disk=ssd, topology.kubernetes.io/zone=a" in text
    assert live.fakes.kube.of("Node").keys() == {"m1", "w1"}


def test_a_size_that_is_there_already_is_said(live: FakeSession) -> None:
    del live
    assert printed("scale", "--workers", "1") == "the cluster has 1 workers already: nothing to do\n"


def test_more_than_is_there_ends_with_2_where_it_is_wanted_all_the_same(live: FakeSession) -> None:
    live.fakes.ssh.machines["n2"].facts = facts(N2, swaps=["/dev/sda2"])
    code, envelope = told("scale", "--workers", "+2", "--yes")
    assert (code, envelope["error"]["kind"]) == (4, "preflight")
    assert "n2: passed over: swap: swap is on" in envelope["error"]["message"]
    code, envelope = told("scale", "--workers", "+2", "--partial", "--yes")
    assert code == 2, envelope
    assert (envelope["data"]["added"], envelope["data"]["short"]) == (["n1"], 1)
    assert "the cluster has 2 of the 3 workers that were asked for" in envelope["error"]["message"]


def test_a_bound_ends_with_5(live: FakeSession) -> None:
    del live
    code, envelope = told("scale", "--pool", "web", "--to", "3")
    assert (code, envelope["error"]["message"]) == (5, "pool web has max 2, 3 was asked for")


def test_pools_are_listed_with_who_works_and_who_waits(live: FakeSession) -> None:
    live.fakes.kube.add_node("n1", address=N1.address)
    live.cluster = live.cluster.model_copy(update={"workers": (W1, N1), "standby": (N2,)})
    code, envelope = told("pool", "list")
    assert code == 0
    web, others = envelope["data"]["pools"]
    assert (web["name"], web["min"], web["max"], web["workers"], web["ready"], web["standby"]) == ("web", 0, 2, 1, 1, 1)
    assert web["failure_domains"] == {"a": {"workers": 1, "standby": 0}, "b": {"workers": 0, "standby": 1}}
    assert (others["name"], others["workers"]) == (None, 1)
    assert "a 1+0  b 0+1" in printed("pool", "list")
    code, envelope = told("pool", "show", "web")
    assert [(each["name"], each["group"], each["ready"]) for each in envelope["data"]["machines"]] == [
        ("n1", "workers", True),
        ("n2", "standby", None),
    ]
    assert "its Nodes carry disk=ssd" in printed("pool", "show", "web")


def test_a_pool_of_a_binary_cluster_is_not_a_clouds_to_change(live: FakeSession) -> None:
    del live
    for argv in (
        ["create", "x", "--like", "web", "--size", "1"],
        ["delete", "web"],
        ["autoscale", "web", "--max", "9"],
    ):
        code, envelope = told("pool", *argv)
        assert (code, envelope["error"]["kind"]) == (3, "input")
        assert "its pools are what its inventory says" in envelope["error"]["message"]


def test_what_is_brought_ahead_of_time_is_told_and_who_could_not_be_reached(live: FakeSession) -> None:
    live.store.digest = lambda binary: binary.name  # type: ignore[method-assign]
    live.fakes.ssh.programs.append(lambda host, argv, _: cached(host, argv))
    live.fakes.playbooks.programs["prefetch.yml"] = lambda _host, _variables, _check: ""
    code, envelope = told("prefetch", "--yes")
    assert code == 0, envelope
    data = envelope["data"]
    assert (data["prefetched"], data["added"], data["present"], data["changed"]) == (["n1"], [], ["n2"], True)
    live.fakes.ssh.machines["n1"].unreachable = True
    code, envelope = told("prefetch", "--yes")
    assert (code, set(envelope["data"]["failed"])) == (2, {"n1"}), envelope
    text = printed("prefetch", "--plan")
    assert "n2 is prefetched already: nothing to do" in text
    assert "n1 is left out: " in text


def cached(host: Host, argv: list[str]) -> Said | None:
    if argv[0] == "containerd":
        return Said(0, "", "")
    names = ("kubelet", "kube-proxy") if host.name == "n2" else ()
    lines = "".join(f"{name}  /var/cache/scaler/{name}\n" for name in names)
    return Said(0, lines, "") if argv[0] == "find" else None
