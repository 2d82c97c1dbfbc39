"""Jobs by real timers: the controller is a host of the lab, with a systemd of its own that runs what install wrote."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pytest_httpserver import HTTPServer
from ruamel.yaml import YAML

import scaler
from scaler.engine import history
from scaler.gateways.clock import SystemClock, wait_until
from scaler.gateways.places import cache_dir
from scaler.gateways.process import run
from scaler.lab import lab
from scaler.lab.disk import mounts_below
from tests.lab.conftest import SCALER, Cluster, kept, made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scaler.lab.host import Host

pytestmark = pytest.mark.long

NAME = "jobs"
CONTROLLER = "c1"
# As the controller sees the lab's shared directory.
SHARED = Path("/srv/shared")
WORKERS = {"n1", "n2", "n3", "n4"}


@dataclass
class Controller:
    """The host that runs the jobs, and who is told of them."""

    cluster: Cluster
    host: Host
    receiver: HTTPServer

    @property
    def shared(self) -> Path:
        """The shared directory as this machine sees it."""
        return self.cluster.where.root / "shared"

    @property
    def environment(self) -> list[str]:
        """What scaler is run with there; that of a checkout under test too, where it is not the installed one."""
        passed = [f"PYTHONPATH={path}"] if (path := os.environ.get("PYTHONPATH")) else []
        return [f"SCALER_STATE_DIR={SHARED}/state", f"SCALER_CACHE_DIR={SHARED}/cache", *passed]

    def scaler(self, *argv: str) -> tuple[int, dict[str, Any]]:
        """Run scaler there; return the exit code and the envelope."""
        words = [SCALER, *argv, "--cluster", str(self.cluster.where.inventory), "--output", "json"]
        done = self.host.exec(["env", *self.environment, *words], timeout=300, check=False)
        assert done.out, done.err
        return done.status, json.loads(done.out.splitlines()[-1])

    def install(self, **jobs: dict[str, Any]) -> None:
        """Write the jobs, and let the controller's systemd have them."""
        url = {"file": f"{SHARED}/url"}
        told = {
            "cluster": NAME,
            "metrics": f"{SHARED}/metrics",
            "notify": [{"webhook": "generic", "url": url, "when": ["always"]}],
            "jobs": jobs,
        }
        with (self.cluster.where.inventory / "jobs.yaml").open("w") as file:
            YAML().dump(told, file)
        code, done = self.scaler("job", "install")
        assert code == 0, done

    def without(self) -> None:
        """Take all jobs out, again until no unit is there: one that runs is kept until its end."""

        def none_left() -> bool:
            self.install()
            return not self.host.exec(["sh", "-c", "ls /etc/systemd/system | grep scaler-job"], check=False).out

        gone = wait_until(SystemClock(), none_left, timeout=180, every=1)
        assert gone, self.host.exec(["systemctl", "list-jobs"]).out

    def records(self, job: str) -> list[dict[str, Any]]:
        """Return the job's records that are not of a run that goes on, oldest first."""
        code, told = self.scaler("job", "history", job)
        assert code == 0, told
        found: list[dict[str, Any]] = told["data"]["records"][::-1]
        return [record for record in found if record["result"] != "running"]

    def ended(self, job: str, count: int, *, timeout: float) -> list[dict[str, Any]]:
        """Wait until so many runs of the job have ended, and return them."""
        place = self.shared / "state" / NAME / "jobs" / job

        def there() -> bool:
            told = [json.loads(path.read_text()) for path in place.glob("*.json")]
            return len([each for each in told if each["result"] != "running" and each["ended"]]) >= count

        if not wait_until(SystemClock(), there, timeout=timeout, every=0.5):
            raise AssertionError(self.host.exec(["journalctl", "--no-pager", "-n", "80"]).out)
        return self.records(job)

    def kill(self, job: str) -> None:
        """Kill all of a job's run at once, and wait until systemd knows it.

        In a container with cgroups of v1 nobody tells systemd that a group is empty; it looks when it reads its files.
        """
        unit = f"scaler-job-{NAME}_{job}.service"
        self.host.exec(["systemctl", "kill", "--signal=KILL", unit])
        look = f"systemctl daemon-reload; systemctl show --property=ActiveState --value {unit}"

        def ended() -> bool:
            return self.host.exec(["sh", "-c", look]).out.strip() != "deactivating"

        assert wait_until(SystemClock(), ended, timeout=60, every=0.5), self.log(job)

    def log(self, job: str) -> str:
        """Return what the job's service printed."""
        return self.host.exec(["journalctl", "--no-pager", "-u", f"scaler-job-{NAME}_{job}.service"]).out

    def told(self, job: str) -> list[dict[str, Any]]:
        """Return what the receiver was told of the job, in order."""
        posted = [json.loads(request.data) for request, _ in self.receiver.log]
        return [each for each in posted if each["job"] == job]

    def metrics(self) -> dict[tuple[str, str, str], float]:
        """Return the samples by name, job and result."""
        text = (self.shared / "metrics" / f"scaler-{NAME}.prom").read_text()
        return {
            (sample.name, sample.labels.get("job", ""), sample.labels.get("result", "")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def workers(self) -> set[str]:
        """Return the workers that are Ready and take pods."""
        return {
            name
            for name, told in self.cluster.nodes().items()
            if name in WORKERS
            and not told["spec"].get("unschedulable")
            and any(c["type"] == "Ready" and c["status"] == "True" for c in told["status"]["conditions"])
        }

    def in_inventory(self) -> set[str]:
        """Return the workers that the inventory has."""
        told = YAML(typ="safe", pure=True).load(self.cluster.inventory.read_text())
        return set(told["all"]["children"]["workers"]["hosts"] or {})

    @contextmanager
    def operator(self, *argv: str) -> Iterator[None]:
        """Let an operator at a terminal of the controller look at a plan, and not answer yet."""
        leader = self.host.leader
        assert leader
        door = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]
        words = ["env", "HOME=/root", *self.environment, SCALER, *argv, "--cluster", str(self.cluster.where.inventory)]
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*door, *words], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as seat:
            os.close(theirs)
            seen = b""
            while b"Do this?" not in seen:
                seen += os.read(ours, 4096)
            try:
                yield
            finally:
                os.write(ours, b"n\n")
                assert seat.wait(60) == 10
                os.close(ours)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    cluster = made(NAME, tmp_path_factory.mktemp("state"), keep=kept(), up=("--workers", str(len(WORKERS))))
    try:
        (host,) = lab.up(NAME, [CONTROLLER], cache=cache_dir())
        with HTTPServer(host=str(host.subnet[1]), port=0) as receiver:
            receiver.expect_request("/hook", method="POST").respond_with_data("")
            seat = Controller(cluster, host, receiver)
            furnish(seat)
            yield seat
            seat.scaler("job", "uninstall")
    finally:
        if not kept():
            lab.down(NAME)


def furnish(seat: Controller) -> None:
    """Let the controller have this machine's scaler, Python, inventory, keys and binaries, at their own places."""
    where = seat.cluster.where
    code = Path(scaler.__file__).parents[1]
    store = Path(YAML(typ="safe", pure=True).load(seat.cluster.variables.read_text())["binaries"])
    needed = {Path(sys.base_prefix), Path(sys.prefix), code, where.inventory, where.client_key.parent, store}
    # What lies in another of them comes behind it.
    for path in sorted(needed):
        door = "door" + str(path).replace("/", "-")
        (seat.shared / door).mkdir(exist_ok=True)
        if seat.shared / door not in mounts_below(seat.shared):
            run(["mount", "--bind", str(path), str(seat.shared / door)])
        bind = f"mountpoint -q {path} || mount --bind {SHARED}/{door} {path}"
        seat.host.exec(["sh", "-c", f"mkdir -p {path} && {{ {bind}; }}"])
    (seat.shared / "url").write_text(seat.receiver.url_for("/hook"))
    (seat.shared / "url").chmod(0o600)
    for variable in seat.environment:
        seat.host.exec(["systemctl", "set-environment", variable])


def at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def scale(workers: int, schedule: str, **more: Any) -> dict[str, Any]:
    return {"schedule": schedule, "action": {"do": "scale", "workers": workers}, **more}


def test_timers_scale_up_before_a_boundary_of_the_clock_and_down_behind_it_and_all_agree(
    controller: Controller,
) -> None:
    code, told = controller.scaler("scale", "--workers", "2", "--yes")
    assert (code, len(controller.workers())) == (0, 2), told
    first = controller.workers()
    began = time.monotonic()
    controller.install()
    # One job is due just before a new ten seconds begin, one just behind, and to install them takes as long as now.
    lead = 3 * (time.monotonic() - began) + 5
    boundary = datetime.fromtimestamp((datetime.now(UTC).timestamp() + lead) // 10 * 10 + 10, UTC)
    guards = {"max_change": 2, "min_ready": 3}
    controller.install(
        up=scale(4, at(boundary - timedelta(seconds=1)), guards=guards),
        down=scale(2, at(boundary + timedelta(seconds=1)), guards=guards, wait_lock="5m"),
    )
    (up,) = controller.ended("up", 1, timeout=300)
    assert (up["result"], up["exit_code"]) == ("done", 0), (up, controller.log("up"))
    (down,) = controller.ended("down", 1, timeout=300)
    assert (down["result"], down["exit_code"]) == ("done", 0), (down, controller.log("down"))
    # Each began when it was due, by its timer.
    for record, due in ((up, boundary - timedelta(seconds=1)), (down, boundary + timedelta(seconds=1))):
        assert timedelta(0) <= datetime.fromisoformat(record["began"]) - due < timedelta(seconds=30)
    assert up["scheduled"]
    assert down["scheduled"]
    # History, webhook, metrics, inventory and the cluster say the same.
    assert (set(up["added"]), len(down["removed"])) == (WORKERS - first, 2)
    left = WORKERS - set(down["removed"])
    assert controller.workers() == left
    assert controller.in_inventory() == left
    for job, record in (("up", up), ("down", down)):
        (posted,) = controller.told(job)
        assert {key: posted[key] for key in ("id", "result", "added", "removed", "health")} == {
            key: record[key] for key in ("id", "result", "added", "removed", "health")
        }
    samples = controller.metrics()
    assert samples["scaler_cluster_nodes_ready", "", ""] == 3
    assert samples["scaler_cluster_etcd_healthy", "", ""] == 1
    assert samples["scaler_cluster_certificate_days_left", "", ""] > 0
    for job, record in (("up", up), ("down", down)):
        success = datetime.fromisoformat(record["last_success"]).timestamp()
        assert samples["scaler_job_last_success_timestamp_seconds", job, ""] == pytest.approx(success, abs=0.01)
        assert samples["scaler_job_changes_total", job, ""] == 2
        assert samples["scaler_job_failures_total", job, ""] == 0
    runs = {record["ran"][-1]["run"] for record in (up, down)}
    assert runs <= {found.name for found in _runs(controller)}


def _runs(controller: Controller) -> list[history.Run]:
    place = controller.shared / "state" / NAME / "runs"
    return [history.read(path) for path in sorted(place.glob("*.jsonl"))]


def test_what_was_killed_in_the_middle_is_finished_by_the_next_timer(controller: Controller) -> None:
    code, told = controller.scaler("scale", "--workers", "2", "--yes")
    assert code == 0, told
    before = {found.name for found in _runs(controller)}
    controller.install(kill=scale(3, "*:*:0/15"))
    killed: list[history.Run] = []

    def in_the_middle() -> bool:
        new = [found for found in _runs(controller) if found.name not in before]
        killed[:] = [found for found in new if any("kubelet_joined" in steps for steps in found.begun.values())]
        return bool(killed)

    assert wait_until(SystemClock(), in_the_middle, timeout=300, every=0.05), controller.log("kill")
    controller.kill("kill")
    ran = controller.ended("kill", 1, timeout=300)
    assert [record["result"] for record in ran[:2]] == ["interrupted", "done"], (ran, controller.log("kill"))
    assert ran[1]["resumed"] == killed[0].name
    assert killed[0].job == "kill"
    assert ran[1]["added"] == list(killed[0].hosts)
    assert len(controller.workers()) == 3
    assert controller.in_inventory() == controller.workers()
    assert [each["result"] for each in controller.told("kill")][:2] == ["interrupted", "done"]
    controller.without()
    code, left = controller.scaler("runs", "list", "--unfinished")
    assert (code, left["data"]["runs"]) == (0, [])


def test_a_lock_that_an_operator_holds_is_waited_for_and_then_left_with_a_code_of_its_own(
    controller: Controller,
) -> None:
    code, told = controller.scaler("scale", "--workers", "3", "--yes")
    assert code == 0, told
    here = controller.workers()
    with controller.operator("remove-node", min(here)):
        controller.install(busy=scale(2, "*:*:0/10", wait_lock="6s"))
        busy = controller.ended("busy", 1, timeout=120)[0]
        controller.without()
    assert (busy["result"], busy["exit_code"]) == ("busy", 30), (busy, controller.log("busy"))
    assert "remove-node" in busy["message"]
    assert datetime.fromisoformat(busy["ended"]) - datetime.fromisoformat(busy["began"]) >= timedelta(seconds=6)
    assert "Main process exited, code=exited, status=30" in controller.log("busy")
    assert controller.told("busy")[0]["exit_code"] == 30
    assert controller.workers() == here
