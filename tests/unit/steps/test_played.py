from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways.playbooks import NO_RESULT, UNREACHABLE
from scaler.gateways.ssh import HostKeyError, Said, SudoError
from scaler.steps.base import PLAYS, played
from tests.fakes.world import Fakes, hosts

if TYPE_CHECKING:
    from pathlib import Path

    from scaler.model.inventory import Host

PLAYBOOK = "worker_install.yml"
LOST = f"{UNREACHABLE}: place the files: Failed to connect"


class Playing(Fakes):
    """Two hosts, and what each play of each of them was given; a host fails as ``plan`` says, a reason a play."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, hosts("n1", "n2"))
        self.reasons: dict[str, list[str]] = {}
        self.plays: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[ScalerError | None] = []
        self.playbooks.programs[PLAYBOOK] = self._play
        self.ssh.programs.append(self._answer)

    def _play(self, host: Host, variables: dict[str, Any], check: bool) -> str:  # noqa: FBT001 - as the fake calls it
        del check
        self.plays.append((host.name, variables))
        reasons = self.reasons.get(host.name, [])
        return reasons.pop(0) if reasons else ""

    def _answer(self, host: Host, argv: list[str], stdin: str) -> Said | None:
        del host, argv, stdin
        error = self.answers.pop(0) if self.answers else None
        if error:
            raise error
        return None

    def play(self) -> dict[str, str]:
        return played(self.world, PLAYBOOK, "workers", self.hosts, {each.name: self.fresh for each in self.hosts})

    @property
    def fresh(self) -> dict[str, Any]:
        return {"scaler_fresh": True}

    def names(self) -> list[str]:
        return [name for name, _ in self.plays]

    def operations(self, name: str) -> list[str]:
        return [variables["scaler_operation"] for played_on, variables in self.plays if played_on == name]


@pytest.fixture
def playing(tmp_path: Path) -> Playing:
    return Playing(tmp_path)


def away() -> UnreachableError:
    return UnreachableError("n1: SSH does not answer")


@pytest.mark.parametrize("why", [LOST, NO_RESULT])
def test_a_host_that_was_lost_and_came_back_is_played_again_and_no_other(playing: Playing, why: str) -> None:
    playing.reasons["n1"] = [why]
    playing.answers = [away(), away(), away()]
    assert playing.play() == {}
    assert playing.names() == ["n1", "n2", "n1"]
    assert playing.clock.monotonic() == 3


def test_what_is_played_again_is_the_same_operation_that_looks_before_it_sends(playing: Playing) -> None:
    playing.reasons["n1"] = [LOST]
    playing.play()
    first, again = playing.operations("n1")
    assert first == again
    told = [variables["scaler_fresh"] for name, variables in playing.plays if name == "n1"]
    assert told == [True, False]


def test_each_play_of_its_own_is_another_operation(playing: Playing) -> None:
    playing.play()
    playing.play()
    assert len(set(playing.operations("n1"))) == 2


def test_a_host_that_failed_is_not_played_again(playing: Playing) -> None:
    playing.reasons["n1"] = ["no space left on device"]
    assert playing.play() == {"n1": "no space left on device"}
    assert playing.names() == ["n1", "n2"]


def test_a_host_that_reboots_is_lost_while_it_goes_down_and_again_later(playing: Playing) -> None:
    playing.reasons["n1"] = [LOST, LOST]
    assert playing.play() == {}
    assert playing.names() == ["n1", "n2", "n1", "n1"]


def test_a_host_that_is_lost_time_and_again_has_failed(playing: Playing) -> None:
    playing.reasons["n1"] = [LOST] * 9
    assert playing.play() == {"n1": LOST}
    assert playing.names().count("n1") == PLAYS


def test_what_a_host_fails_of_after_it_came_back_is_its_failure(playing: Playing) -> None:
    playing.reasons["n1"] = [LOST, "kubelet.service does not start"]
    assert playing.play() == {"n1": "kubelet.service does not start"}


def test_a_host_that_stays_away_is_given_up_after_the_inventorys_time_and_waited_for_once(playing: Playing) -> None:
    playing.reasons["n1"] = [LOST, LOST]
    playing.ssh.machines["n1"].unreachable = True
    assert playing.play() == {"n1": LOST}
    assert 60 <= playing.clock.monotonic() < 62
    assert playing.play() == {"n1": LOST}
    assert playing.clock.monotonic() < 62
    assert playing.names() == ["n1", "n2", "n1", "n2"]


def test_a_host_that_never_answered_is_not_waited_for(playing: Playing) -> None:
    playing.world.answered.discard("n1")
    playing.reasons["n1"] = [LOST]
    assert playing.play() == {"n1": LOST}
    assert (playing.clock.monotonic(), playing.names()) == (0, ["n1", "n2"])


def test_a_host_that_a_playbook_reached_has_answered(playing: Playing) -> None:
    playing.world.answered.clear()
    playing.reasons["n1"] = ["", LOST]
    assert playing.play() == {}
    assert playing.play() == {}
    assert playing.names() == ["n1", "n2", "n1", "n2", "n1"]


def test_a_host_that_comes_back_with_another_key_is_stopped_at_once(playing: Playing) -> None:
    playing.reasons["n1"] = [LOST]
    playing.answers = [away(), HostKeyError("n1: the host's key changed", hint="find out why")]
    assert playing.play() == {"n1": "n1: the host's key changed (find out why)"}
    assert playing.names() == ["n1", "n2"]
    assert playing.clock.monotonic() == 1


def test_a_host_that_lets_nobody_become_root_any_more_is_not_waited_for(playing: Playing) -> None:
    playing.answers = [SudoError("n1: no root")]
    with pytest.raises(SudoError):
        playing.world.ssh.run(playing.hosts[0], ["true"])
    assert playing.clock.monotonic() == 0
