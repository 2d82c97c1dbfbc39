"""What scaler lint tells of living hosts: nothing of what scaler set up, and each planted error with host and line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.long

DROP_IN = "/etc/systemd/system/kubelet.service.d/50-planted.conf"
ENVIRONMENT = "/etc/default/planted"
CONFIG = "/var/lib/kubelet/config.yaml"
HOST = "m1"


class Linted(NamedTuple):
    code: int
    data: dict[str, Any]

    def errors(self, at: str = "") -> set[tuple[str, str, int, str]]:
        """Return host, file, line and check of the errors of now, or of those at a version."""
        return {
            (f["host"], f["file"], f["line"], f["check"])
            for f in self.data["findings"]
            if f["error"] and (f["at"] == at if at else f["now"])
        }


def lint(cluster: Cluster, *argv: str) -> Linted:
    done = cluster.scaler("lint", *argv, "--cluster", cluster.where.name, "--output", "json")
    assert done.out, done.err
    told = json.loads(done.out)
    assert told["exit_code"] == done.status
    return Linted(done.status, told["data"])


@pytest.fixture
def planted(cluster: Cluster) -> Iterator[int]:
    """Plant three errors on a master's disk, restart nothing, and return the line of the field; take all away again."""
    run = cluster.hosts[HOST].exec
    before = run(["cat", CONFIG]).out
    unit = run(["systemctl", "cat", "kubelet.service"]).out
    command = unit[unit.index("ExecStart=") :].partition("\n\n")[0].partition("\nRestart=")[0]
    lines = [
        "[Service]",
        f"EnvironmentFile={ENVIRONMENT}",
        "ExecStart=",
        f"{command} $PLANTED \\",
        "  --seccomp-default",
    ]
    run(["mkdir", "-p", DROP_IN.rpartition("/")[0]])
    try:
        run(["tee", DROP_IN], stdin="\n".join([*lines, ""]))
        run(
            ["tee", ENVIRONMENT],
            stdin="# what a guide of another version says\nPLANTED=--feature-gates=NodeSwap=true\n",
        )
        run(["tee", CONFIG], stdin=f"{before}clusterDns: [10.96.0.10]\n")
        yield len(before.splitlines()) + 1
    finally:
        run(["tee", CONFIG], stdin=before)
        run(["rm", "-rf", DROP_IN.rpartition("/")[0], ENVIRONMENT])


def test_an_untouched_cluster_is_clean(cluster: Cluster) -> None:
    cluster.pristine()
    linted = lint(cluster)
    assert (linted.code, linted.data["findings"], linted.data["away"]) == (0, [], {})
    told = {(c["host"], c["component"]): (c["version"], c["running"]) for c in linted.data["components"]}
    named = {component for host, component in told if host == HOST}
    assert named == {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "containerd",
    }
    assert all(version and version == running for version, running in told.values())


def test_what_is_planted_is_found_with_host_and_line_while_it_runs_on(cluster: Cluster, planted: int) -> None:
    before = cluster.processes(HOST)
    linted = lint(cluster, HOST)
    drop_in = cluster.hosts[HOST].exec(["cat", DROP_IN]).out.splitlines()
    assert linted.code == 4
    assert linted.errors() == {
        (HOST, DROP_IN, len(drop_in), "flags"),
        (HOST, ENVIRONMENT, 2, "gates"),
        (HOST, CONFIG, planted, "fields"),
    }
    assert cluster.processes(HOST) == before


def test_what_a_later_version_breaks_is_found_before_it_comes(cluster: Cluster) -> None:
    linted = lint(cluster, HOST, "--for", "1.27")
    assert linted.code == 4
    gone = {f["message"].split()[0] for f in linted.data["findings"] if f["error"]}
    # What scaler wrote for 1.20 is right for 1.20: a kubelet of 1.27 does not know it any more.
    assert gone == {"--container-runtime"}
    assert {f["at"] for f in linted.data["findings"] if f["error"]} == {"1.27"}
