from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scaler import assets
from scaler.app import preflight
from scaler.app.prefetch import Prepared, choose, prepare
from scaler.errors import InputError, PreflightError
from scaler.gateways.ssh import Said
from scaler.steps.base import roles_of, worker_binaries
from scaler.steps.hosts_prefetched import CACHE, STEP
from tests.fakes import world
from tests.fakes.session import FakeSession, session
from tests.unit.examples import settings

if TYPE_CHECKING:
    from scaler.model.inventory import Host

N1, N2 = world.hosts("n1", "n2")
W1 = world.host("w1", 20)
WANTED = {"kubelet", "kube-proxy"}


@pytest.fixture
def live(tmp_path: Path) -> FakeSession:
    n1 = N1.model_copy(update={"pool": "web"})
    made = session(tmp_path, (n1, N2, W1), standby=(n1, N2), workers=(W1,), pools={"web": {}, "empty": {}})
    digest: Any = lambda binary: f"sha-of-{binary.name}"  # noqa: E731
    made.store.digest = digest  # type: ignore[method-assign]
    made.fakes.ssh.programs.append(machine({}))
    return made


def machine(cached: dict[str, set[str]], *, runtime: bool = True) -> Any:
    """Return what answers for the caches of hosts, which hold the digests of files by these names."""

    def program(host: Host, argv: list[str], _stdin: str) -> Said | None:
        if argv == ["containerd", "--version"]:
            return Said(0 if runtime else 127, "", "")
        if argv[0] == "find":
            names = cached.get(host.name, set())
            return Said(0 if names else 1, "".join(f"sha-of-{n}  {CACHE}/sha-of-{n}\n" for n in sorted(names)), "")
        return None

    return program


def prepared(live: FakeSession, cached: dict[str, set[str]], *, runtime: bool = True) -> Prepared:
    live.fakes.ssh.programs[:] = [machine(cached, runtime=runtime)]
    return prepare(live, choose(live.cluster, [], None), progress=lambda _: None)


def test_all_on_standby_are_meant_or_those_of_a_pool_or_those_that_are_named(live: FakeSession) -> None:
    def names(chosen: tuple[Host, ...]) -> list[str]:
        return [host.name for host in chosen]

    assert names(choose(live.cluster, [], None)) == ["n1", "n2"]
    assert names(choose(live.cluster, [], "web")) == ["n1"]
    assert names(choose(live.cluster, ["w1", "n2", "w1"], None)) == ["w1", "n2"]


@pytest.mark.parametrize(
    ("names", "pool", "told"),
    [
        (["m1"], None, "m1 is neither on standby nor a worker"),
        (["n2"], "web", "n2 is not of pool web"),
        ([], "wbe", "has no pool wbe"),
        ([], "empty", "no host of pool empty is on standby"),
    ],
)
def test_what_cannot_be_meant_is_refused(live: FakeSession, names: list[str], pool: str | None, told: str) -> None:
    with pytest.raises(InputError, match=told):
        choose(live.cluster, names, pool)


def test_only_who_lacks_something_or_has_too_much_is_planned_for(live: FakeSession) -> None:
    ready = prepared(live, {"n1": WANTED, "n2": {"kubelet"}})
    assert ([host.name for host in ready.plan.hosts], ready.plan.present) == (["n2"], ("n1",))
    assert (ready.plan.makes, ready.plan.leaves) == ("", "")
    more = prepared(live, {"n1": WANTED, "n2": WANTED | {"an-older-kubelet"}})
    assert [host.name for host in more.plan.hosts] == ["n2"]
    assert prepared(live, {"n1": WANTED, "n2": WANTED}).plan.empty


def test_who_has_no_runtime_of_the_distributions_is_planned_for(live: FakeSession) -> None:
    ready = prepared(live, {"n1": WANTED, "n2": WANTED}, runtime=False)
    assert [host.name for host in ready.plan.hosts] == ["n1", "n2"]


def test_who_cannot_be_asked_is_refused_alone_and_all_only_where_nobody_is_left(live: FakeSession) -> None:
    live.fakes.ssh.machines["n1"].unreachable = True
    ready = prepared(live, {})
    assert [host.name for host in ready.plan.hosts] == ["n2"]
    assert "SSH does not answer" in ready.refused["n1"]
    live.fakes.ssh.machines["n2"].unreachable = True
    with pytest.raises(PreflightError, match=r"n1: .*\nn2: "):
        prepared(live, {})


def test_the_step_tells_each_file_and_where_it_is_kept(live: FakeSession) -> None:
    lines = "\n".join(STEP.describe(prepared(live, {}).plan, live.cluster.settings))
    assert f"keep in {CACHE}: kubelet 1.20.2, kube-proxy 1.20.2" in lines
    assert "container runtime" in lines


def test_a_host_is_brought_ahead_of_time_all_that_a_worker_gets() -> None:
    assert [role for role in roles_of("prefetch.yml") if role != "prefetch"] == roles_of("worker_install.yml")

    def bundles(playbook: str) -> list[str]:
        text = (assets.PLAYBOOKS / playbook).read_text(encoding="utf-8")
        return [word for word in text.split() if word.startswith("_") and word.endswith("_bundle.files")]

    assert bundles("prefetch.yml") == bundles("worker_install.yml")


def test_the_cache_is_no_leftover() -> None:
    found = [path for path in (*preflight.LEFTOVERS, *preflight.MEMBER_LEFTOVERS) if Path(CACHE).is_relative_to(path)]
    assert found == []


def test_where_no_kube_proxy_is_wanted_none_is_brought() -> None:
    brought = [{binary.name for binary in worker_binaries(settings(kube_proxy_mode=mode))} for mode in ("", "none")]
    assert ("kube-proxy" in brought[0], "kube-proxy" in brought[1]) == (True, False)
