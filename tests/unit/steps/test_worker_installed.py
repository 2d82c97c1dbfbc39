from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import StepError
from scaler.gateways.files import sha256
from scaler.gateways.playbooks import NO_RESULT, UNREACHABLE
from scaler.steps import credentials_issued
from scaler.steps.worker_installed import PLAYBOOK, REMOVAL, STEP
from tests.fakes.world import RUN, Fakes, host, hosts

if TYPE_CHECKING:
    from pathlib import Path

LOST = f"{UNREACHABLE}: place the files: Failed to connect"


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    made = Fakes(tmp_path, hosts("n1", "n2"))
    credentials_issued.STEP.apply(made.world, made.hosts)
    made.world.pod_cidrs.update({"n1": "10.244.1.0/24", "n2": "10.244.2.0/24"})
    return made


def once(fakes: Fakes, name: str, why: str) -> list[str]:
    """Let the host's first installation fail; return the list of its tries."""
    tries: list[str] = []

    def tell(playbook: str, at: str) -> str:
        if (playbook, at) != (PLAYBOOK, name):
            return ""
        tries.append(at)
        return why if len(tries) == 1 else ""

    fakes.playbooks.fail = tell
    return tries


def test_every_host_has_its_own_files_and_variables(fakes: Fakes) -> None:
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    for each in fakes.hosts:
        placed = fakes.playbooks.hosts[each.name]
        assert fakes.world.tokens[each.name] in placed.files["kubelet_bootstrap_kubeconfig"]
        variables = placed.variables
        assert variables["node_name"] == each.name
        assert variables["node_ip"] == each.address
        assert variables["node_pod_cidr"] == fakes.world.pod_cidrs[each.name]
        assert variables["kubernetes_version"] == "1.20.2"


def test_a_host_is_claimed_for_its_node_by_run_and_ca(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    assert fakes.playbooks.hosts["n1"].variables["scaler_claim"] == {
        "cluster": "prod",
        "node": "n1",
        "run": RUN,
        "ca": sha256(fakes.world.secrets("n1") / "ca.crt"),
    }


def test_no_secret_is_a_variable(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    told = repr(fakes.playbooks.hosts["n1"].variables)
    secrets = [each["stringData"]["token-secret"] for each in fakes.kube.of("Secret").values()]
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize("own", [{}, {"kubelet_max_pods": 50}])
def test_a_host_of_the_command_line_has_the_variables_that_all_hosts_have(tmp_path: Path, own: dict[str, Any]) -> None:
    master = host("m1", 1).model_copy(update={"variables": {"kubelet_max_pods": 200}})
    new = host("n1", 11).model_copy(update={"variables": own})
    fakes = Fakes(tmp_path, [new], masters=(master,))
    credentials_issued.STEP.apply(fakes.world, [new])
    STEP.apply(fakes.world, [new])
    assert fakes.playbooks.hosts["n1"].variables["kubelet_max_pods"] == own.get("kubelet_max_pods", 200)


def test_a_host_that_fails_does_not_keep_the_other_from_its_files(fakes: Fakes) -> None:
    tries = once(fakes, "n1", "place the files: No space left on device")
    assert STEP.apply(fakes.world, fakes.hosts) == {"n1": "place the files: No space left on device"}
    assert tries == ["n1"]
    assert set(fakes.playbooks.hosts) == {"n2"}


@pytest.mark.parametrize("why", [LOST, NO_RESULT])
def test_a_host_that_was_away_and_came_back_is_tried_once_more(fakes: Fakes, why: str) -> None:
    tries = once(fakes, "n1", why)
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert tries == ["n1", "n1"]


def test_a_host_whose_result_was_lost_is_looked_at_and_nothing_is_believed_to_be_new_there(fakes: Fakes) -> None:
    fakes.world.fresh |= {"n1", "n2"}
    tries = once(fakes, "n1", NO_RESULT)
    assert STEP.apply(fakes.world, fakes.hosts) == {}
    assert tries == ["n1", "n1"]
    fresh = {name: placed.variables["scaler_fresh"] for name, placed in fakes.playbooks.hosts.items()}
    assert fresh == {"n1": False, "n2": True}


def test_a_host_that_came_back_and_is_lost_again_has_failed(fakes: Fakes) -> None:
    fakes.playbooks.fails[PLAYBOOK, "n1"] = LOST
    assert STEP.apply(fakes.world, fakes.hosts) == {"n1": LOST}


def test_a_host_that_stays_away_has_failed_after_the_time_of_a_reboot(fakes: Fakes) -> None:
    tries = once(fakes, "n1", LOST)
    fakes.ssh.machines["n1"].unreachable = True
    assert STEP.apply(fakes.world, fakes.hosts) == {"n1": LOST}
    assert tries == ["n1"]
    assert 44 < fakes.clock.monotonic() < 60


def test_undo_gives_the_host_back(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    STEP.undo(fakes.world, fakes.hosts[0])
    assert set(fakes.playbooks.hosts) == {"n2"}


def test_an_undo_that_cannot_reach_the_host_says_so(fakes: Fakes) -> None:
    STEP.apply(fakes.world, fakes.hosts)
    fakes.playbooks.fails[REMOVAL, "n1"] = LOST
    with pytest.raises(StepError, match="n1 could not be cleaned: the host was lost"):
        STEP.undo(fakes.world, fakes.hosts[0])


def test_what_the_step_says_it_does_leaves_out_what_it_does_not_do(fakes: Fakes) -> None:
    binaries, roles = STEP.describe(fakes.world.plan, fakes.world.cluster.settings)
    assert "kubelet 1.20.2" in binaries
    assert "containerd" not in binaries
    assert "cni_plugins" not in roles
    assert "images" not in roles
    assert "routed" in roles
