from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from scaler.drivers import lb
from scaler.errors import InputError, StepError
from scaler.gateways.ssh import Said
from tests.fakes import world
from tests.fakes.world import host, hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaler.model.inventory import Cluster, Host

M1, M2, M3 = host("m1", 1), host("m2", 2), host("m3", 3)
LB1, LB2, W1 = host("lb1", 21), host("lb2", 22), host("w1", 41)
PROGRAM = '''\
"""A small load balancer: its backends are a file, and it takes no more than three."""
import json, pathlib, sys

asked, file = json.load(sys.stdin), pathlib.Path(sys.argv[1])
assert asked["cluster"] == "prod" and asked["endpoint"] == "10.0.0.5:6443"
if asked["action"] == "get":
    print(file.read_text())
elif len(asked["backends"]) > 3:
    sys.exit("quota of backends exceeded")
elif not asked["check"]:
    told = [{"address": each["address"], "up": each["port"] == 6443} for each in asked["backends"]]
    file.write_text(json.dumps({"backends": told, "version": 2}))
'''


class Hosts:
    """Hosts that have files, answer ``ip`` and the HTTPS script, and talk on HAProxy's socket."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.refuses: dict[str, str] = {}
        self.stat = ""
        self.states: list[tuple[str, str, str]] = []

    def run(self, host: Host, argv: Sequence[str], *, stdin: str = "", timeout: float = 60) -> Said:
        del timeout
        match list(argv):
            case ["cat", path]:
                there = path in self.files
                return Said(int(not there), self.files.get(path, ""), "" if there else f"cat: {path}: No such file")
            case ["ip", "-json", "address", "show"]:
                return Said(0, json.dumps([{"ifname": "eth1", "addr_info": [{"local": host.address}]}]), "")
            case [_, "-c", _]:
                asks = json.loads(stdin)["asks"]
                told = [self.refuses.get(f"{ask['name'] or ask['address']}:{ask['port']}", "") for ask in asks]
                return Said(0, json.dumps([{"status": 0 if why else 200, "error": why} for why in told]), "")
            case [_, "-c", _, socket, "show stat"]:
                return Said(0, self.stat if socket.endswith("admin.sock") else "", "")
            case [_, "-c", _, socket, command]:
                self.states.append((host.name, socket, command))
                return Said(0, "\n", "")
        raise AssertionError(argv)


class Plays:
    """Playbooks: each host's variables as they were placed, or judged; ``failures`` by host."""

    def __init__(self) -> None:
        self.placed: dict[str, dict[str, Any]] = {}
        self.judged: dict[str, dict[str, Any]] = {}
        self.used: set[tuple[str, str]] = set()
        self.failures: dict[str, str] = {}

    def __call__(
        self, playbook: str, group: str, hosts: Sequence[Host], variables: dict[str, dict[str, Any]], *, check: bool
    ) -> dict[str, str]:
        self.used.add((playbook, group))
        failures = {each.name: self.failures[each.name] for each in hosts if each.name in self.failures}
        told = self.judged if check else self.placed
        told.update({name: own for name, own in variables.items() if name not in failures})
        return failures


class Setup:
    """One cluster's doors, and what lies behind them."""

    def __init__(self, directory: Path, kind: str, **more: Any) -> None:
        groups = {"loadbalancers": (LB1, LB2), "workers": (W1,), "masters": (M1, M2)}
        self.cluster: Cluster = world.cluster(directory, loadbalancer=kind, **{**groups, **more})
        self.ssh, self.plays = Hosts(), Plays()
        self.doors = lb.Doors(self.cluster, self.ssh, self.plays, world.CA)
        self.driver = lb.of(kind)
        self.balancers = self.driver.balancers(self.cluster)


@pytest.fixture
def external(tmp_path: Path) -> Setup:
    (tmp_path / "balancer.py").write_text(PROGRAM)
    command = (sys.executable, str(tmp_path / "balancer.py"), str(tmp_path / "backends.json"))
    return Setup(tmp_path, "external", loadbalancer_command=command)


def serving(setup: Setup) -> dict[str, bool]:
    return {each.address: each.up for each in setup.driver.serving(setup.doors, setup.balancers[0])}


def test_a_program_of_the_users_is_told_the_masters_and_tells_them_back(external: Setup) -> None:
    assert external.driver.put(external.doors, external.balancers, [M1, M2]) == {}
    assert serving(external) == {"10.0.0.1": True, "10.0.0.2": True}


def test_it_is_one_balancer_called_by_the_endpoint(external: Setup) -> None:
    assert external.balancers == (lb.Balancer("10.0.0.5:6443", None),)


def test_a_rehearsal_asks_the_program_and_changes_nothing(external: Setup) -> None:
    external.driver.put(external.doors, external.balancers, [M1])
    assert external.driver.rehearse(external.doors, external.balancers, [M1, M2]) == {}
    assert serving(external) == {"10.0.0.1": True}


def test_what_the_program_refuses_is_told_with_what_to_run_by_hand(external: Setup) -> None:
    four = [M1, M2, M3, *hosts("m4")]
    (why,) = external.driver.rehearse(external.doors, external.balancers, four).values()
    assert "loadbalancer_command failed to set: quota of backends exceeded" in why
    assert '"check": true' in why


def test_setting_aside_and_taking_back_set_the_whole(external: Setup) -> None:
    driver, doors, one = external.driver, external.doors, external.balancers[0]
    driver.put(doors, [one], [M1, M2])
    driver.set_aside(doors, one, [M1, M2], M1)
    assert serving(external) == {"10.0.0.2": True}
    driver.take_back(doors, one, [M1, M2], M1)
    assert serving(external) == {"10.0.0.1": True, "10.0.0.2": True}


def test_a_program_that_fails_stops_the_setting_aside(external: Setup) -> None:
    four = [M1, M2, M3, *hosts("m4", "m5")]
    with pytest.raises(StepError, match=r"10\.0\.0\.5:6443: loadbalancer_command failed to set"):
        external.driver.set_aside(external.doors, external.balancers[0], four, M1)


@pytest.mark.parametrize("said", ["", "Welcome!", "[]", '{"backends": [{"address": "10.0.0.1"}]}'])
def test_an_answer_without_backends_is_told(external: Setup, said: str) -> None:
    Path(external.cluster.settings.loadbalancer_command[2]).write_text(said)
    with pytest.raises(StepError, match="loadbalancer_command answered 'get' with no backends"):
        serving(external)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "external", loadbalancer_command=("/no/such/program",))
    with pytest.raises(StepError, match="not found on this machine"):
        serving(setup)


@pytest.mark.parametrize("kind", ["haproxy", "nginx", "local"])
def test_a_playbook_places_the_masters_on_every_balancer_of_ours(tmp_path: Path, kind: str) -> None:
    setup = Setup(tmp_path, kind)
    assert setup.driver.put(setup.doors, setup.balancers, [M1, M2]) == {}
    wanted = [{"name": "m1", "address": "10.0.0.1"}, {"name": "m2", "address": "10.0.0.2"}]
    told = {"w1"} if kind == "local" else {"lb1", "lb2"}
    assert {name: own["lb_masters"] for name, own in setup.plays.placed.items()} == dict.fromkeys(told, wanted)
    playbook = ("local_balancer.yml", "workers") if kind == "local" else ("loadbalancer_install.yml", "loadbalancers")
    assert setup.plays.used == {playbook}


def test_a_rehearsal_is_a_playbook_that_only_judges(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "haproxy")
    setup.plays.failures["lb2"] = "refused by haproxy"
    assert setup.driver.rehearse(setup.doors, setup.balancers, [M1]) == {"lb2": "refused by haproxy"}
    assert (set(setup.plays.judged), setup.plays.placed) == ({"lb1"}, {})


def test_keepalived_gets_each_hosts_own_interface_priority_and_peers(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "haproxy", vip="10.0.0.5")
    setup.driver.put(setup.doors, setup.balancers, [M1])
    told = {name: {k: v for k, v in own.items() if k != "lb_masters"} for name, own in setup.plays.placed.items()}
    assert told == {
        "lb1": {"keepalived_interface": "eth1", "keepalived_priority": 150, "keepalived_peers": ["10.0.0.22"]},
        "lb2": {"keepalived_interface": "eth1", "keepalived_priority": 149, "keepalived_peers": ["10.0.0.21"]},
    }


def test_after_a_put_no_master_is_drained_where_the_playbook_went_through(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "haproxy")
    setup.plays.failures["lb2"] = "no"
    assert setup.driver.put(setup.doors, setup.balancers, [M1, M2]) == {"lb2": "no"}
    assert {(name, command) for name, _, command in setup.ssh.states} == {
        ("lb1", "set server masters/m1 state ready"),
        ("lb1", "set server masters/m2 state ready"),
    }


@pytest.mark.parametrize(
    ("kind", "path"), [("haproxy", "/run/haproxy/admin.sock"), ("local", "/run/kube-lb/admin.sock")]
)
def test_a_master_is_set_aside_by_the_socket_of_that_balancer(tmp_path: Path, kind: str, path: str) -> None:
    setup = Setup(tmp_path, kind)
    one = setup.balancers[0]
    setup.driver.set_aside(setup.doors, one, [M1, M2], M1)
    setup.driver.take_back(setup.doors, one, [M1, M2], M1)
    assert setup.ssh.states == [
        (one.name, path, "set server masters/m1 state drain"),
        (one.name, path, "set server masters/m1 state ready"),
    ]


def test_what_haproxy_sends_to_is_told_by_address(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "haproxy")
    setup.ssh.stat = (
        "# pxname,svname,status,check_status,last_chk,addr\n"
        "masters,m1,UP,L7OK,,10.0.0.1:6443\nmasters,m2,DOWN,L4CON,,10.0.0.2:6443\nmasters,m6,UP,L7OK,,[fd00::6]:6443\n"
    )
    assert serving(setup) == {"10.0.0.1": True, "10.0.0.2": False, "fd00::6": True}


NGINX = """\
stream {
    upstream masters {
        server 10.0.0.1:6443 max_fails=1 fail_timeout=2s; # m1
        server 10.0.0.2:6443 max_fails=1 fail_timeout=2s; # m2
    }
    server {
        listen 10.0.0.21:6443;
    }
}
"""


def test_what_nginx_sends_to_is_its_configuration_and_up_is_asked_from_its_host(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "nginx")
    setup.ssh.files["/etc/nginx/nginx.conf"] = NGINX
    setup.ssh.refuses["10.0.0.2:6443"] = "Connection refused"
    assert serving(setup) == {"10.0.0.1": True, "10.0.0.2": False}


def test_an_nginx_without_masters_sends_to_nobody(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "nginx")
    setup.ssh.files["/etc/nginx/nginx.conf"] = "stream {}"
    assert serving(setup) == {}


def test_an_nginx_without_a_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"lb1: /etc/nginx/nginx\.conf cannot be read: .*No such file"):
        serving(Setup(tmp_path, "nginx"))


def test_nginx_is_set_aside_by_a_configuration_without_that_master(tmp_path: Path) -> None:
    setup = Setup(tmp_path, "nginx")
    one = setup.balancers[0]
    setup.driver.set_aside(setup.doors, one, [M1, M2], M1)
    assert [each["name"] for each in setup.plays.placed["lb1"]["lb_masters"]] == ["m2"]
    setup.driver.take_back(setup.doors, one, [M1, M2], M1)
    assert [each["name"] for each in setup.plays.placed["lb1"]["lb_masters"]] == ["m1", "m2"]


@pytest.mark.parametrize(
    ("kind", "asked"), [("haproxy", "10.0.0.5:6443"), ("nginx", "10.0.0.5:6443"), ("local", "127.0.0.1:6443")]
)
def test_the_api_is_asked_through_the_balancer_from_its_own_host(tmp_path: Path, kind: str, asked: str) -> None:
    setup = Setup(tmp_path, kind)
    assert setup.driver.probe(setup.doors, setup.balancers[0]) == ""
    setup.ssh.refuses[asked] = "timed out"
    assert setup.driver.probe(setup.doors, setup.balancers[0]) == "timed out"


def test_a_master_that_is_a_worker_too_has_no_balancer_of_its_own(tmp_path: Path) -> None:
    assert [each.name for each in Setup(tmp_path, "local", workers=(M1, W1)).balancers] == ["w1"]


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        lb.of("f5")
    assert caught.value.hint == "one of external, haproxy, local, nginx"
