from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from scaler.errors import ScalerError, StepError
from scaler.gateways import addresses, haproxy
from scaler.gateways.ssh import Said
from tests.fakes.world import host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scaler.model.inventory import Host

LB1 = host("lb1", 21)
# As HAProxy 2.6 prints it, cut down to what matters here: quoted texts with commas, and an end without a column's name.
STAT = """\
# pxname,svname,status,weight,check_status,check_code,last_chk,addr,
api,FRONTEND,OPEN,,,,,,
masters,m1,UP,1,L7OK,200,"HTTP status check returned code <3C>200<3E>",10.0.0.1:6443,
masters,m2,UP 1/2,1,* L7OK,200,,10.0.0.2:6443,
masters,m3,DOWN,1,L4CON,,"Connection refused, at step 1",10.0.0.3:6443,
masters,m4,UP,1,INI,,,10.0.0.4:6443,
masters,m5,DRAIN,0,L7OK,200,,10.0.0.5:6443,
masters,m6,UP,1,L7OK,200,,[fd00::6]:6443,
masters,BACKEND,UP,3,,,,,
stats,m1,UP,1,L7OK,200,,10.9.9.9:1,

"""


class Here:
    """A host that is this machine, with an admin socket that answers as HAProxy does."""

    def __init__(self, path: Path, answers: dict[str, str]) -> None:
        self.path, self.asked = path, [""]
        self.asked.clear()
        self._answers = answers
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                talk, _ = self._socket.accept()
            except OSError:
                return
            with talk:
                line = talk.makefile().readline().strip()
                self.asked.append(line)
                talk.sendall(self._answers.get(line, "\n").encode())

    def close(self) -> None:
        self._socket.close()

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del host
        done = subprocess.run(
            [sys.executable, *argv[1:]], input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)


class Printing:
    """A host whose programs all print the same."""

    def __init__(self, said: Said) -> None:
        self._said = said

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del host, argv, stdin, timeout
        return self._said


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    refusal = {"set server masters/m9 state drain": "No such server.\n\n"}
    made = Here(tmp_path / "admin.sock", {"show stat": STAT, **refusal})
    yield made
    made.close()


def test_the_servers_of_the_backend_are_told_and_only_those(here: Here) -> None:
    told = haproxy.servers(here, LB1, str(here.path))
    assert [(each.name, each.address) for each in told][:5] == [(f"m{n}", f"10.0.0.{n}:6443") for n in range(1, 6)]
    assert len(told) == 6


@pytest.mark.parametrize(
    ("name", "up"), [("m1", True), ("m2", True), ("m3", False), ("m4", False), ("m5", False), ("m6", True)]
)
def test_a_server_is_up_once_its_check_has_passed_and_it_is_not_drained(here: Here, name: str, up: bool) -> None:  # noqa: FBT001
    (told,) = (each for each in haproxy.servers(here, LB1, str(here.path)) if each.name == name)
    assert told.up is up


def test_why_a_server_is_down_is_told_in_haproxys_words(here: Here) -> None:
    told = haproxy.servers(here, LB1, str(here.path))[2].told
    assert told == "DOWN L4CON Connection refused, at step 1"


@pytest.mark.parametrize("state", ["ready", "drain"])
def test_a_state_is_set_by_one_line(here: Here, state: str) -> None:
    haproxy.set_state(here, LB1, str(here.path), "m1", state)  # type: ignore[arg-type]
    assert here.asked == [f"set server masters/m1 state {state}"]


def test_a_server_that_haproxy_does_not_know_is_told_in_its_words(here: Here) -> None:
    with pytest.raises(StepError, match=r"lb1: HAProxy did not set m9 to drain: No such server\."):
        haproxy.set_state(here, LB1, str(here.path), "m9", "drain")


def test_a_socket_that_is_not_there_is_told_with_what_to_look_at(here: Here, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"lb1: HAProxy does not answer on .*No such file") as caught:
        haproxy.servers(here, LB1, str(tmp_path / "other.sock"))
    assert caught.value.hint == "systemctl status haproxy there"


SHOWN = [
    {"ifname": "lo", "addr_info": [{"family": "inet", "local": "127.0.0.1"}]},
    {"ifname": "eth0", "addr_info": [{"local": "10.0.0.21"}, {"local": "10.0.0.100"}, {"family": "inet6"}]},
    {"ifname": "dummy0"},
]


def test_each_address_of_a_host_is_on_its_interface() -> None:
    told = addresses.interfaces(Printing(Said(0, json.dumps(SHOWN), "")), LB1)
    assert told == {"127.0.0.1": "lo", "10.0.0.21": "eth0", "10.0.0.100": "eth0"}


def test_an_address_that_no_interface_has_is_told() -> None:
    with pytest.raises(ScalerError, match=r"lb1: no interface has 10\.0\.0\.99"):
        addresses.interface_of(Printing(Said(0, json.dumps(SHOWN), "")), LB1, "10.0.0.99")


def test_an_ip_that_fails_is_told_in_its_words() -> None:
    with pytest.raises(ScalerError, match="lb1: ip does not tell its addresses: ip: not found"):
        addresses.interfaces(Printing(Said(127, "", "ip: not found\n")), LB1)
