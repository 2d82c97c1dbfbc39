"""Nodes join and leave a network whose routes BIRD tells over BGP; each test says which nodes it begins with."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from scaler.gateways.process import run
from scaler.lab import lab
from scaler.lab.layout import Lab
from scaler.lab.tools import wait_until
from scaler.model.network import REFLECTOR_LABEL
from tests.lab.conftest import SCALER, kept, made
from tests.lab.routes import STATIC, right, routes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

pytestmark = [pytest.mark.lab, pytest.mark.long]

MESHED, REFLECTED = "meshed", "reflected"


@pytest.fixture(scope="module")
def meshed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    up = ("--workers", "2", "--loadbalancers", "0", "--set", "cni_routing=bgp-mesh")
    try:
        yield made(MESHED, tmp_path_factory.mktemp("state"), keep=kept(), up=up)
    finally:
        if not kept():
            lab.down(MESHED)


@pytest.fixture(scope="module")
def reflected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose master reflects routes, and n1 is to."""
    up = ("--workers", "3", "--loadbalancers", "0", "--set", "cni_routing=bgp-reflector")
    try:
        if not kept():
            lab.down(REFLECTED)
        run([SCALER, "lab", "up", "--name", REFLECTED, *up], timeout=1800)
        set_variables(Lab(REFLECTED), m1=True, n1=True)
        yield made(REFLECTED, tmp_path_factory.mktemp("state"), keep=True, up=up)
    finally:
        if not kept():
            lab.down(REFLECTED)


def set_variables(where: Lab, **reflectors: bool) -> None:
    yaml, path = YAML(), where.inventory / "hosts.yml"
    tree = yaml.load(path)
    for group in tree["all"]["children"].values():
        for name, values in (group.get("hosts") or {}).items():
            if name in reflectors:
                values["cni_reflector"] = reflectors[name]
    with path.open("w") as file:
        yaml.dump(tree, file)


def sessions(cluster: Cluster, host: str) -> dict[str, str]:
    """Return BIRD's sessions on ``host``: the neighbour's address to the session's state."""
    argv = ["birdc", "-s", "/run/pod-bird/bird.ctl", "show", "protocols"]
    lines = cluster.hosts[host].exec(argv).out.splitlines()
    found = [re.match(r"node_(\S+)\s+BGP.*?\s(\S+)\s*$", line) for line in lines]
    return {match[1].replace("_", "."): match[2] for match in found if match}


def begins_with(cluster: Cluster, *names: str) -> None:
    """Let exactly these workers be nodes, and know each other's routes."""
    cluster.have_workers(*names)
    wait_until(lambda: right(cluster, "m1", *names), "all routes are known", timeout=15)


def answers(cluster: Cluster, source: str, target: str) -> bool:
    """Tell whether the bridge of ``target`` answers from the bridge of ``source``: both addresses are of pods."""

    def bridge(host: str) -> str:
        told = json.loads(cluster.hosts[host].exec(["ip", "-json", "-4", "addr", "show", "dev", "cni0"]).out)
        return str(told[0]["addr_info"][0]["local"])

    argv = ["ping", "-c", "1", "-W", "2", "-M", "do", "-s", "1472", "-I", bridge(source), bridge(target)]
    return cluster.hosts[source].exec(argv, check=False).status == 0


def test_nodes_join_a_full_mesh_and_their_routes_are_told_to_the_old_ones(meshed: Cluster) -> None:
    begins_with(meshed)
    before = meshed.processes("m1")
    code, told = meshed.add("n1", "n2")
    assert (code, told["data"]["added"]) == (0, ["n1", "n2"]), told
    assert right(meshed, "n1", "n2")
    # It was told by its own BIRD; nothing of it was changed or started anew.
    wait_until(lambda: right(meshed, "m1"), "the master knows the new nodes", timeout=10)
    assert meshed.processes("m1") == before
    assert set(sessions(meshed, "m1").values()) == {"Established"}
    assert len(sessions(meshed, "m1")) == 2
    assert routes(meshed, "n1", STATIC) == {}


def test_full_packets_cross_between_the_pods_networks(meshed: Cluster) -> None:
    begins_with(meshed, "n1", "n2")
    assert answers(meshed, "n1", "n2")
    assert answers(meshed, "m1", "n1")
    assert answers(meshed, "n2", "m1")


def test_a_node_is_not_in_while_its_bird_says_nothing(meshed: Cluster) -> None:
    begins_with(meshed, "n1", "n2")
    host = meshed.hosts["n1"]
    host.exec(["systemctl", "stop", "pod-bird"])
    assert routes(meshed, "n1") == {}
    wait_until(lambda: len(routes(meshed, "n2")) == 1, "the others forget its pods", timeout=10)
    host.exec(["systemctl", "start", "pod-bird"])
    wait_until(lambda: right(meshed, "m1", "n1", "n2"), "it is back", timeout=30)


def test_the_status_says_how_routes_are_told(meshed: Cluster) -> None:
    told = json.loads(meshed.scaler("status", "--cluster", meshed.where.name, "--output", "json").out)
    assert told["data"]["cni"] == "routed: BGP by BIRD, full mesh, AS 64512"


def test_a_node_that_leaves_is_forgotten_by_all(meshed: Cluster) -> None:
    begins_with(meshed, "n1", "n2")
    gone = meshed.nodes()["n2"]["spec"]["podCIDR"]
    code, told = meshed.change("remove-node", "n2", "--ignore-daemonsets")
    assert code == 0, told
    wait_until(lambda: right(meshed, "m1", "n1"), "its route is gone", timeout=10)
    assert gone not in routes(meshed, "m1")
    assert len(sessions(meshed, "m1")) == 1
    assert routes(meshed, "n2") == {}
    assert meshed.tree("n2") == meshed.untouched["n2"]["tree"]


def test_another_mode_of_kube_proxy_than_the_living_ones_is_refused(meshed: Cluster) -> None:
    begins_with(meshed, "n1")
    text = meshed.variables.read_text()
    try:
        meshed.variables.write_text(f"{text}kube_proxy_mode: ipvs\n")
        code, told = meshed.add("n2")
    finally:
        meshed.variables.write_text(text)
    message = told["error"]["message"]
    assert code == 4, told
    assert "kube_proxy_mode is ipvs in the inventory, and iptables on m1" in message
    if not has_ipvs(meshed):
        assert "its kernel has no ip_vs, which kube-proxy's mode ipvs needs" in message


def has_ipvs(cluster: Cluster) -> bool:
    """Tell whether this machine's kernel, which is that of every host, has IPVS."""
    script = "[ -e /proc/net/ip_vs ] || modprobe -q ip_vs"
    return cluster.hosts["n1"].exec(["sh", "-c", script], check=False).status == 0


def test_clients_of_reflectors_talk_to_them_alone_and_know_everybodys_routes(reflected: Cluster) -> None:
    begins_with(reflected)
    code, told = reflected.add("n1", "n2", "n3")
    assert (code, told["data"]["added"]) == (0, ["n1", "n2", "n3"]), told
    labelled = {name for name, node in reflected.nodes().items() if REFLECTOR_LABEL in node["metadata"]["labels"]}
    assert labelled == {"m1", "n1"}
    wait_until(lambda: right(reflected, "m1", "n1", "n2", "n3"), "all routes are known", timeout=15)
    reflectors = {str(reflected.hosts[name].address) for name in ("m1", "n1")}
    assert set(sessions(reflected, "n2")) == set(sessions(reflected, "n3")) == reflectors
    assert answers(reflected, "n2", "n3")


def test_a_reflector_may_leave_while_another_one_stays(reflected: Cluster) -> None:
    begins_with(reflected, "n1", "n2", "n3")
    code, told = reflected.change("remove-node", "n1", "--ignore-daemonsets")
    assert code == 0, told
    wait_until(lambda: right(reflected, "m1", "n2", "n3"), "its route is gone", timeout=10)
    assert len(sessions(reflected, "n2")) == 1
    assert answers(reflected, "n2", "n3")


def test_the_last_reflector_stays(reflected: Cluster) -> None:
    begins_with(reflected, "n2", "n3")
    reflected.kubectl("label", "node", "n2", f"{REFLECTOR_LABEL}=true")
    reflected.kubectl("label", "node", "m1", f"{REFLECTOR_LABEL}-")
    try:
        wait_until(lambda: right(reflected, "m1", "n2", "n3"), "n2 reflects", timeout=30)
        code, told = reflected.change("remove-node", "n2", "--ignore-daemonsets")
    finally:
        reflected.kubectl("label", "node", "m1", f"{REFLECTOR_LABEL}=true")
        reflected.kubectl("label", "node", "n2", f"{REFLECTOR_LABEL}-")
    assert code == 5, told
    assert "n2 is the last route reflector" in told["error"]["message"]
