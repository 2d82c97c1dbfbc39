from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from scaler.app import session as sessions
from scaler.cli.main import app
from scaler.gateways.ssh import Said
from scaler.gateways.templates import render
from tests.fakes import world
from tests.fakes.session import Opened, session
from tests.fakes.ssh import FakeMachine
from tests.golden.test_rendered import UNITS, VALUES

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from scaler.model.inventory import Host

KUBELET = "/etc/systemd/system/kubelet.service"
CONFIG = "/var/lib/kubelet/config.yaml"


class Hosts:
    """Hosts as scaler sets them up at one version, with what a test writes there besides."""

    def __init__(self, version: str = "1.20.2") -> None:
        self.version = version
        self.away: set[str] = set()
        self.drop_ins: dict[str, list[dict[str, str]]] = {}
        self.more_config: dict[str, str] = {}
        self.versions: dict[str, str] = {}

    def said(self, host: Host, argv: list[str], stdin: str) -> Said | None:
        if argv[-1] != "-" or "units" not in stdin:
            return None
        if host.name in self.away:
            return Said(1, "", "python3: gone")
        return Said(0, json.dumps({"units": list(self._units(host.name)), "machine": MACHINE}), "")

    def _units(self, host: str) -> list[dict[str, Any]]:
        values = {**VALUES, "kubernetes_version": self.version, "containerd_version": ""}
        found = []
        for component, file in UNITS.items():
            if host != "m1" and component not in {"kubelet", "kube-proxy"}:
                continue
            path = f"/etc/systemd/system/{file.partition('/')[2]}"
            more = self.drop_ins.get(host, []) if component == "kubelet" else []
            configs = {
                f"/var/lib/{name}/config.yaml": render(f"{name}/config.yaml.j2", **values)
                for name in (component,)
                if name in {"kubelet", "kube-proxy"}
            }
            if component == "kubelet":
                configs[CONFIG] += self.more_config.get(host, "")
            version = self.versions.get(component, self.version)
            files = [{"path": path, "text": render(f"{file}.j2", **values)}, *more]
            found.append({"component": component, "files": files, "configs": configs, "version": version})
        return found


MACHINE = {"cgroup": 2, "kernel": "6.1.0", "containerd": "1.6.20~ds1", "runc": "1.1.5"}


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosts:
    made, told = session(tmp_path, world.hosts("n1"), standby=world.hosts("n1")), Hosts()
    made.fakes.ssh.programs.append(told.said)
    made.fakes.ssh.machines |= {name: FakeMachine({}) for name in made.cluster.hosts()}
    monkeypatch.setattr(sessions, "read_cluster", lambda _: made.cluster)
    monkeypatch.setattr(sessions, "opened", lambda _: Opened(made))
    return told


def invoked(*argv: str) -> Result:
    return CliRunner().invoke(app, ["lint", *argv])


def findings(done: Result) -> list[tuple[str, str, int, bool, bool]]:
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.exit_code
    return [(f["host"], f["file"], f["line"], f["error"], f["now"]) for f in told["data"]["findings"]]


def test_what_scaler_set_up_is_clean(hosts: Hosts) -> None:
    done = invoked("--cluster", "prod", "--output", "json")
    assert (done.exit_code, findings(done)) == (0, [])
    assert "m1" in {c["host"] for c in json.loads(done.stdout)["data"]["components"]}
    assert hosts.version == "1.20.2"


def test_three_planted_errors_are_found_with_host_and_line(hosts: Hosts) -> None:
    path = f"{KUBELET}.d/50-planted.conf"
    planted = "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --container-runtime=remote \\\n"
    planted += "  --container-runtime-endpoint=unix:///x \\\n  --seccomp-default \\\n  --feature-gates=NodeSwap=true\n"
    hosts.drop_ins["m1"] = [{"path": path, "text": planted}]
    hosts.more_config["m1"] = "clusterDns: [10.96.0.10]\n"
    done = invoked("m1", "--cluster", "prod", "--output", "json")
    errors = {(host, file, line) for host, file, line, error, now in findings(done) if error and now}
    length = len(render("kubelet/config.yaml.j2", **VALUES, kubernetes_version="1.20.2").splitlines())
    assert errors == {("m1", path, 5), ("m1", path, 6)}, done.stdout
    # The planted command names no configuration any more, so that file counts for nothing.
    hosts.drop_ins["m1"] = []
    done = invoked("m1", "--cluster", "prod", "--output", "json")
    assert done.exit_code == 4
    assert findings(done) == [("m1", CONFIG, length + 1, True, True)]


def test_what_breaks_at_the_next_minor_is_told_and_counts_with_for_alone(hosts: Hosts) -> None:
    hosts.version = "1.25.3"
    hosts.drop_ins["m1"] = [
        {"path": f"{KUBELET}.d/x.conf", "text": "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --logtostderr\n"}
    ]
    done = invoked("m1", "--cluster", "prod")
    assert done.exit_code == 4  # the endpoint is missing now
    hosts.drop_ins["m1"][0]["text"] += (
        "ExecStart=\nExecStart=/usr/bin/kubelet --logtostderr --container-runtime-endpoint=unix:///x\n"
    )
    done = invoked("m1", "--cluster", "prod")
    assert (done.exit_code, "at 1.26: --logtostderr is gone from 1.26 on" in done.stdout) == (0, True)
    done = invoked("m1", "--cluster", "prod", "--for", "1.26")
    assert (done.exit_code, "✗" in done.stdout) == (4, True)


def test_a_host_that_cannot_be_looked_at_is_told_beside_the_others(hosts: Hosts) -> None:
    hosts.away.add("m1")
    done = invoked("--cluster", "prod")
    assert done.exit_code in {2, 7}
    assert "not looked at: m1: its units could not be read" in done.stdout


def test_versions_that_do_not_fit_each_other_are_told(hosts: Hosts) -> None:
    hosts.versions = {"kubelet": "1.21.0", "kube-scheduler": "1.20.2"}
    done = invoked("m1", "--cluster", "prod", "--output", "json")
    messages = [f["message"] for f in json.loads(done.stdout)["data"]["findings"] if f["check"] == "skew"]
    assert messages == ["kubelet 1.21.0 is newer than API server 1.20.2: the API servers come first"]
    assert done.exit_code == 4


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "say --cluster, or --file"),
        (["--for", "1.99"], "--for 1.99 is not one of 1.20 to 1.37"),
        (["m9", "--cluster", "prod"], "m9 is not in"),
        (["--file", "/no/such", "--for", "1.30"], "/no/such cannot be read"),
        (["--file", "/etc/hostname"], "does not say which version it is for"),
        (["m1", "--file", "/etc/hostname", "--for", "1.30"], "--file is judged alone"),
        (["--file", "/etc/hosts", "--for", "1.30"], "does not say whose it is"),
        (["--file", "/etc/hosts", "--for", "1.30", "--component", "kubectl"], "--component kubectl is none of"),
    ],
)
def test_what_makes_no_sense_is_refused(
    hosts: Hosts, argv: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCALER_CLUSTER", raising=False)
    done = invoked(*argv)
    assert done.exit_code == 3, hosts
    assert message in done.stderr.replace("\n", " ")


def test_a_file_alone_says_whose_it_is_or_is_told(tmp_path: Path) -> None:
    unit, config, environment = tmp_path / "x.service", tmp_path / "x.yaml", tmp_path / "default"
    unit.write_text("[Service]\nExecStart=/usr/bin/kube-scheduler --port=0\n")
    config.write_text("apiVersion: kubescheduler.config.k8s.io/v1beta1\nkind: KubeSchedulerConfiguration\n")
    environment.write_text('# --port=0\nARGS="--network-plugin=cni"\n')
    for path, more, line in ((unit, [], 2), (config, [], 1), (environment, ["--component", "kubelet"], 2)):
        done = invoked("--file", str(path), "--for", "1.30", "--output", "json", *more)
        assert done.exit_code == 4
        assert (("", str(path), line, True, True)) in findings(done)
