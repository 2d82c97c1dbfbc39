"""The link to a host is cut while it is changed: the change goes on there, once, and its result is collected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from scaler.lab.tools import wait_until
from tests.lab.conftest import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.lab.host import Host
    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

HELD = "kube-proxy.service"
DROP_IN = f"/etc/systemd/system/{HELD}.d/held.conf"
HOLD = "[Service]\nExecStartPre=/bin/sh -c 'until [ -e /run/let-go ]; do sleep 0.1; done'\n"


@pytest.fixture
def held(cluster: Cluster) -> Iterator[Host]:
    """An empty host whose installation stands still at its last unit until it is let go."""
    cluster.pristine()
    host = cluster.hosts["n1"]
    host.exec(["mkdir", "-p", DROP_IN.rpartition("/")[0]])
    host.exec(["tee", DROP_IN], stdin=HOLD)
    host.exec(["systemctl", "daemon-reload"])
    yield host
    host.mend()


def state(host: Host, unit: str) -> str:
    return host.exec(["systemctl", "show", "-P", "ActiveState", unit], check=False).out.strip()


def units_of_ours(host: Host) -> list[str]:
    told = host.exec(["systemctl", "list-units", "--all", "--plain", "--no-legend", "scaler-*.scope"]).out
    return [line.split()[0] for line in told.splitlines()]


def test_a_change_goes_on_over_a_link_that_is_cut_and_is_done_once(cluster: Cluster, held: Host) -> None:
    argv = ["add-node", "n1", "--cluster", NAME, "--yes", "--output", "jsonl"]
    event: dict[str, Any] = {}
    during: dict[str, str] = {}
    lost = 0
    with cluster.start(*argv) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("kind"), event.get("step")) == ("step-intent", "worker_installed"):
                wait_until(lambda: state(held, HELD) == "activating", "the last unit is held", timeout=120)
                assert [unit.endswith("-worker-present.scope") for unit in units_of_ours(held)] == [True]
                held.cut()
                held.exec(["touch", "/run/let-go"])
                wait_until(lambda: not units_of_ours(held), "the change ends by itself", timeout=60)
                assert state(held, HELD) == "active"
                during = cluster.processes("n1")
                (result,) = held.exec(["find", "/run/scaler", "-type", "f"]).out.split()
                assert held.exec(["stat", "-c", "%a", result, "/run/scaler"]).out.split() == ["600", "700"]
                assert "PRIVATE" not in held.exec(["cat", result]).out
            if event.get("message", "").startswith("n1 is lost"):
                lost += 1
                held.mend()
    assert (process.returncode, event["data"]["added"]) == (0, ["n1"]), event
    assert lost == 1
    # The join itself restarts the kubelet, and nothing else.
    after = cluster.processes("n1")
    once = {name: since for name, since in during.items() if not name.startswith("kubelet ")}
    assert once.items() <= after.items(), (during, after)
    assert {name.split()[0] for name in once} >= {"containerd", "kube-proxy"}
    assert units_of_ours(held) == []
    assert held.exec(["find", "/run/scaler", "-mindepth", "1"]).out == ""
    # What a module is given, credentials among it, has no place in the host's log.
    assert "Invoked with" not in held.exec(["journalctl", "-q", "--no-pager", "-o", "cat"]).out
