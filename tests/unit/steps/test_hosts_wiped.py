from __future__ import annotations

import json
from typing import TYPE_CHECKING

from scaler.gateways.ssh import Said
from scaler.steps.hosts_wiped import STEP
from tests.fakes.leaving import leaving
from tests.fakes.playbooks import Placed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.world import Fakes


def installed(fakes: Fakes) -> Fakes:
    for name in ("n1", "n2"):
        fakes.playbooks.hosts[name] = Placed()
    return fakes


def claim(fakes: Fakes, name: str, **claimed: str) -> None:
    fakes.ssh.machines[name].files["/var/lib/scaler/worker.json"] = json.dumps({"claim": claimed})


def test_those_that_leave_are_cleaned_and_nobody_else(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1"))
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert fakes.playbooks.hosts.keys() == {"n2"}


def test_the_playbook_is_told_whose_host_it_cleans(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    told = {}

    def program(_host: object, variables: dict[str, object], _check: bool) -> str:  # noqa: FBT001
        told.update(variables)
        return ""

    fakes.playbooks.programs["worker_remove.yml"] = program
    STEP.apply(fakes.world, fakes.hosts)
    assert told["scaler_claim"] == {"cluster": "prod", "node": "n1"}


def test_another_machine_at_the_address_is_left_alone(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1", "n2"))
    fakes.ssh.machines["n1"].files["/etc/machine-id"] = "another\n"
    assert "another machine than was planned for" in STEP.apply(fakes.world, fakes.hosts)["n1"]
    assert fakes.playbooks.hosts.keys() == {"n1"}


def test_a_host_of_another_cluster_is_left_alone(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1"))
    claim(fakes, "n1", cluster="other", node="n1")
    assert STEP.apply(fakes.world, fakes.hosts) == {"n1": "the host says it is node n1 of cluster other"}
    assert "n1" in fakes.playbooks.hosts


def test_a_host_that_cannot_be_cleaned_fails_alone(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1", "n2"))
    fakes.playbooks.fails["worker_remove.yml", "n1"] = "/var/lib/kubelet/pods/x cannot be unmounted"
    assert STEP.apply(fakes.world, fakes.hosts) == {"n1": "/var/lib/kubelet/pods/x cannot be unmounted"}
    assert fakes.playbooks.hosts.keys() == {"n1"}


def test_a_host_that_reboots_is_waited_for(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1"))
    machine = fakes.ssh.machines["n1"]
    machine.unreachable = True
    sleep = fakes.clock.sleep

    def later(seconds: float) -> None:
        sleep(seconds)
        machine.unreachable = fakes.clock.monotonic() < 10

    fakes.clock.sleep = later  # type: ignore[method-assign]
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert "n1" not in fakes.playbooks.hosts


def test_a_dead_host_is_not_contacted_and_what_it_holds_is_told(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1", dead=("n1",)))
    del fakes.ssh.machines["n1"]
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert "client certificate" in fakes.world.later["n1"]
    assert "n1" in fakes.playbooks.hosts


def test_a_host_that_scaler_did_not_install_keeps_its_files_and_that_is_told(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    del fakes.ssh.machines["n1"].files["/var/lib/scaler/worker.json"]
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert "did not install it" in fakes.world.later["n1"]


def test_a_master_loses_its_workers_files_first(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1")
    fakes.world.plan = fakes.world.plan.model_copy(update={"leaves": "masters"})
    ran: list[str] = []

    def failing(playbook: str, _host: str) -> str:
        ran.append(playbook)
        return ""

    fakes.playbooks.fail = failing
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert ran == ["worker_remove.yml", "master_remove.yml", "loadbalancer_remove.yml"]


def test_one_that_goes_on_standby_keeps_what_it_needs_before_it_is_cleaned(tmp_path: Path) -> None:
    fakes = leaving(tmp_path, "n1", to_standby=True)
    ran: list[str] = []

    def noted(playbook: str, _host: str) -> str:
        ran.append(playbook)
        return ""

    fakes.playbooks.fail = noted
    fakes.playbooks.programs["prefetch.yml"] = lambda _host, _variables, _check: ""
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert ran == ["prefetch.yml", "worker_remove.yml"]
    # What it keeps already is not looked for once more.
    ran.clear()
    names = ("kubelet", "kube-proxy")
    kept = "".join(f"sha-of-{name}  /var/cache/scaler/sha-of-{name}\n" for name in names)
    fakes.ssh.programs.append(lambda _host, argv, _stdin: Said(0, kept, "") if argv[0] == "find" else None)
    fakes.ssh.programs.append(lambda _host, argv, _stdin: Said(0, "", "") if argv[0] == "containerd" else None)
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert ran == ["worker_remove.yml"]
    assert "/var/cache/scaler" in STEP.describe(fakes.world.plan, fakes.world.cluster.settings)[1]


def test_one_that_cannot_keep_it_is_cleaned_all_the_same_and_that_is_told(tmp_path: Path) -> None:
    fakes = installed(leaving(tmp_path, "n1", to_standby=True))
    fakes.playbooks.fails["prefetch.yml", "n1"] = "no space left"
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert "n1" not in fakes.playbooks.hosts
    assert fakes.world.later == {"n1": "it joins again with all its files sent: no space left"}
