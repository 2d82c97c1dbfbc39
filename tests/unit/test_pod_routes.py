"""What pod-routes tells BIRD, out of the Nodes."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from scaler import assets

SOURCE = (assets.TEMPLATES / "routed" / "pod-routes.py").read_text(encoding="utf-8")
LABEL = "node-restriction.kubernetes.io/route-reflector"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """The script's functions; its last line would follow Nodes for ever."""
    source = SOURCE.rstrip()
    assert source.endswith("\nmain()")
    found: dict[str, Any] = {"__name__": "pod_routes"}
    exec(compile(source.removesuffix("main()"), "pod-routes", "exec"), found)  # noqa: S102 - our own file
    return found


def nodes(script: dict[str, Any], *reflectors: str) -> dict[str, Any]:
    found = {}
    for number, name in enumerate(("m1", "n1", "n2")):
        found[name] = script["route_of"](
            {
                "metadata": {"name": name, "labels": {LABEL: "true"} if name in reflectors else {}},
                "spec": {"podCIDR": f"10.244.{number}.0/24"},
                "status": {"addresses": [{"type": "InternalIP", "address": f"10.0.0.{number + 1}"}]},
            }
        )
    return found


def told(script: dict[str, Any], own: str, routing: str, *reflectors: str) -> str:
    arguments = argparse.Namespace(routing=routing, as_number=64512)
    text: str = script["neighbours"](nodes(script, *reflectors), own, arguments)
    return text


def test_in_a_mesh_each_node_is_a_neighbour_that_tells_its_own_route_only(script: dict[str, Any]) -> None:
    text = told(script, "n1", "bgp-mesh")
    assert "route 10.244.1.0/24 blackhole;" in text
    assert "neighbor 10.0.0.1 as 64512;\n  ipv4 { import where net = 10.244.0.0/24; };" in text
    assert text.count("protocol bgp") == 2
    assert "rr client" not in text


def test_a_client_talks_to_reflectors_alone_and_takes_all_from_them(script: dict[str, Any]) -> None:
    text = told(script, "n2", "bgp-reflector", "m1")
    assert (text.count("protocol bgp"), "node_10_0_0_1" in text, "import where" in text) == (1, True, False)


def test_a_reflector_talks_to_all_and_passes_its_clients_routes_on(script: dict[str, Any]) -> None:
    text = told(script, "m1", "bgp-reflector", "m1", "n1")
    assert text.count("protocol bgp") == 2
    assert text.count("rr client;") == 1
    client = text[text.index("# n2") :]
    assert "rr client;" in client
    assert "import where net = 10.244.2.0/24" in client


def test_a_node_whose_own_range_is_not_known_yet_has_nothing_to_tell(script: dict[str, Any]) -> None:
    assert told(script, "n9", "bgp-mesh") == ""


def test_a_node_whose_label_says_that_it_reflects_may_tell_all_in_a_mesh_too(script: dict[str, Any]) -> None:
    text = told(script, "n1", "bgp-mesh", "m1")
    assert text.count("import where") == 1


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.9;\n}\nprotocol kernel {}"], ["fd00::9"], [" 10.0.0.9"]],
)
def test_what_is_no_ipv4_address_does_not_come_into_birds_file(script: dict[str, Any], addresses: list[str]) -> None:
    node = {
        "metadata": {"name": "n3"},
        "spec": {"podCIDR": "10.244.3.0/24"},
        "status": {"addresses": [{"type": "InternalIP", "address": each} for each in addresses]},
    }
    assert script["route_of"](node) is None
    node["status"] = {"addresses": [{"type": "InternalIP", "address": each} for each in [*addresses, "10.0.0.9"]]}
    assert script["route_of"](node)[1] == "10.0.0.9"
    node["spec"] = {"podCIDR": "fd00::/64"}
    assert script["route_of"](node) is None


def test_two_nodes_with_one_address_leave_the_file_readable(script: dict[str, Any]) -> None:
    known = nodes(script)
    known["n3"] = ("10.244.3.0/24", known["n2"][1], False)
    text = script["neighbours"](known, "m1", argparse.Namespace(routing="bgp-mesh", as_number=64512))
    assert text.count("protocol bgp node_10_0_0_3 ") == 1


def test_a_static_route_stays_until_bird_has_one(script: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    kernel = {"197": "10.244.0.0/24 via 10.0.0.1\n10.244.2.0/24 via 10.0.0.3\n", "12": "10.244.0.0/24 via 10.0.0.1\n"}

    def ip(*argv: str) -> str:
        ran.append(argv)
        return kernel[argv[-1]] if argv[0] == "show" else ""

    monkeypatch.setitem(script, "ip", ip)
    script["settle"]({}, script["untold"](nodes(script)))
    assert [argv for argv in ran if argv[0] == "del"] == [("del", "10.244.0.0/24", "proto", "197")]


def test_a_node_without_an_address_is_no_neighbour(script: dict[str, Any]) -> None:
    bare = {"metadata": {"name": "n3"}, "spec": {"podCIDR": "10.244.3.0/24"}, "status": {}}
    assert script["route_of"](bare) is None
