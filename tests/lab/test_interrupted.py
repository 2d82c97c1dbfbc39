"""What happens around a join: hosts die, reboot and fill up, operators meet, controllers are killed."""

from __future__ import annotations

import json
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from scaler.gateways.clock import SystemClock, wait_until
from scaler.gateways.process import run
from tests.lab.conftest import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from ipaddress import IPv4Address
    from pathlib import Path

    from scaler.gateways.process import Completed
    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

MIB = 1 << 20
# What an abort may take on a machine that is busy: it waits for no step, and gives the lease back.
ABORT_SECONDS = 10.0


@pytest.fixture(autouse=True)
def master(cluster: Cluster) -> Iterator[None]:
    """Begin with empty hosts, and see that no test costs the control plane a restart."""
    variables = cluster.variables.read_bytes()
    cluster.pristine()
    before = cluster.processes("m1")
    yield
    assert cluster.processes("m1") == before
    cluster.variables.write_bytes(variables)


def watch(
    cluster: Cluster,
    names: tuple[str, ...],
    at: str,
    do: Callable[[], object],
    seen: list[dict[str, Any]] | None = None,
) -> tuple[int, dict[str, Any]]:
    """Add ``names``; when step ``at`` begins, ``do`` something; return the exit code and the envelope.

    What is told meanwhile goes into ``seen``.
    """
    argv = ["add-node", *names, "--cluster", NAME, "--yes", "--output", "jsonl"]
    with cluster.start(*argv) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            last = line
            event = json.loads(line)
            if seen is not None:
                seen.append(event)
            if (event.get("kind"), event.get("step")) == ("step-intent", at):
                do()
    told = json.loads(last) if last else {}
    return process.returncode, told


def is_cordoned(cluster: Cluster, name: str) -> bool:
    return bool(cluster.nodes()[name]["spec"].get("unschedulable"))


def test_a_host_that_dies_fails_alone_and_a_second_run_finishes_it(cluster: Cluster) -> None:
    code, told = watch(cluster, ("n1", "n2"), "kubelet_joined", cluster.hosts["n2"].kill)
    assert (code, told["data"]["added"]) == (2, ["n1"]), told
    assert "SSH does not answer" in told["data"]["failed"]["n2"]
    assert "stays cordoned" in told["data"]["left"]["n2"]
    assert is_cordoned(cluster, "n2")
    assert not is_cordoned(cluster, "n1")
    assert "n2:" not in cluster.inventory.read_text().split("standby:")[0]
    cluster.hosts["n2"].power_on()
    assert is_cordoned(cluster, "n2")
    code, told = cluster.add("n1", "n2")
    assert (code, told["data"]["added"], told["data"]["present"]) == (0, ["n2"], ["n1"]), told
    assert not is_cordoned(cluster, "n2")
    assert "n2:" in cluster.inventory.read_text().split("standby:")[0]


@pytest.mark.long
@pytest.mark.parametrize("step", ["worker_installed", "kubelet_joined"])
def test_a_host_that_reboots_is_waited_for(cluster: Cluster, step: str) -> None:
    code, told = watch(cluster, ("n1",), step, cluster.hosts["n1"].reboot)
    assert (code, told["data"]["added"]) == (0, ["n1"]), told
    assert not is_cordoned(cluster, "n1")


REINSTALLED = """
cd /etc/ssh && mkdir /root/former && mv ssh_host_* /root/former/
ssh-keygen -q -t ed25519 -N '' -f ssh_host_ed25519_key
pkill -x sshd; systemctl restart ssh
"""


@pytest.mark.long
def test_a_host_that_shows_another_key_on_the_way_is_left_alone(cluster: Cluster) -> None:
    host, trees = cluster.hosts["n1"], []

    def reinstalled() -> None:
        host.exec(["sh", "-c", REINSTALLED])
        trees.append(cluster.tree("n1"))

    try:
        code, told = watch(cluster, ("n1",), "worker_installed", reinstalled)
        trees.append(cluster.tree("n1"))
    finally:
        host.exec(["sh", "-c", "rm -f /etc/ssh/ssh_host_*; mv /root/former/* /etc/ssh/; rmdir /root/former"])
        host.exec(["systemctl", "restart", "ssh"])
    assert code == 9, told
    assert "key" in told["data"]["failed"]["n1"].lower(), told
    assert "n1" in told["data"]["left"], told
    assert trees[0] == trees[1]
    assert is_cordoned(cluster, "n1")


@pytest.mark.long
def test_a_node_whose_network_is_not_there_says_so_and_is_taken_back(cluster: Cluster) -> None:
    before = cluster.tree("n1")
    remove = lambda: cluster.hosts["n1"].exec(["sh", "-c", "rm /etc/cni/net.d/*"])  # noqa: E731
    code, told = watch(cluster, ("n1",), "kubelet_joined", remove)
    assert code == 9, told
    assert "cni" in told["data"]["failed"]["n1"].lower(), told
    assert cluster.tree("n1") == before
    assert sorted(cluster.nodes()) == ["m1"]


@pytest.mark.long
def test_a_run_that_loses_its_lease_stops_before_its_next_step(cluster: Cluster) -> None:
    cluster.variables.write_text(f"{cluster.variables.read_text()}lease_seconds: 30\n")
    delete = lambda: cluster.kubectl("-n", "kube-system", "delete", "lease", "scaler")  # noqa: E731
    seen: list[dict[str, Any]] = []
    code, told = watch(cluster, ("n1",), "worker_installed", delete, seen)
    assert (code, told["error"]["kind"]) == (6, "locked"), told
    assert [e["step"] for e in seen if e.get("kind") == "step-intent"][-1] == "worker_installed"
    assert is_cordoned(cluster, "n1")
    code, told = cluster.add("n1")
    assert (code, told["data"]["added"]) == (0, ["n1"]), told


def test_a_disk_that_fills_up_fails_its_host_alone_and_leaves_nothing_there(cluster: Cluster) -> None:
    before = cluster.tree("n2")
    full = lambda: cluster.hosts["n2"].fill(leave_bytes=60 * MIB)  # noqa: E731
    code, told = watch(cluster, ("n1", "n2"), "worker_installed", full)
    assert (code, told["data"]["added"]) == (2, ["n1"]), told
    assert "No space left on device" in told["data"]["failed"]["n2"]
    cluster.hosts["n2"].unfill()
    assert cluster.tree("n2") == before
    assert sorted(cluster.nodes()) == ["m1", "n1"]


def test_a_node_that_work_does_not_run_on_is_taken_back(cluster: Cluster) -> None:
    before = cluster.tree("n2")
    # A firewall one way: packets to n2's pods are lost, those from them are not.
    cluster.hosts["n2"].exec(
        ["iptables", "-I", "FORWARD", "-o", "cni0", "-m", "conntrack", "--ctstate", "NEW", "-j", "DROP"]
    )
    code, told = cluster.add("n1", "n2")
    assert (code, told["data"]["added"]) == (2, ["n1"]), told
    assert "reached-from-old-node" in told["data"]["failed"]["n2"]
    assert told["data"]["left"] == {}
    assert cluster.tree("n2") == before
    assert cluster.processes("n2") == {}
    assert sorted(cluster.nodes()) == ["m1", "n1"]
    links = cluster.hosts["n2"].exec(["ip", "-br", "link"]).out
    assert "cni0" not in links
    assert "veth" not in links
    assert "KUBE-" not in cluster.hosts["n2"].exec(["iptables-save"]).out


def test_a_dead_worker_elsewhere_is_not_contacted_and_blocks_nothing(cluster: Cluster) -> None:
    code, told = cluster.add("n1")
    assert code == 0, told
    cluster.hosts["n1"].kill()
    with packets_to(cluster.hosts["n1"].address) as count:
        code, told = cluster.add("n2")
        assert count() == 0
    assert (code, told["data"]["added"]) == (0, ["n2"]), told


@contextmanager
def packets_to(address: IPv4Address) -> Iterator[Callable[[], int]]:
    """Count the packets that this machine itself sends to ``address``."""
    rule = ["OUTPUT", "-d", str(address), "-m", "comment", "--comment", "scaler-test"]
    run(["iptables", "-I", *rule])
    try:
        yield lambda: next(
            int(line.split()[0])
            for line in run(["iptables", "-nvxL", "OUTPUT"]).out.splitlines()
            if "scaler-test" in line
        )
    finally:
        run(["iptables", "-D", *rule])


def test_a_second_operator_is_told_who_is_at_work(cluster: Cluster) -> None:
    seen: list[tuple[int, dict[str, Any]]] = []
    code, _ = watch(cluster, ("n1",), "worker_installed", lambda: seen.append(cluster.add("n2")))
    assert code == 0
    second, told = seen[0]
    assert (second, told["error"]["kind"]) == (6, "locked")
    assert "add-node n1" in told["error"]["message"]
    assert sorted(cluster.nodes()) == ["m1", "n1"]


def kill_at(cluster: Cluster, step: str) -> None:
    """Let scaler add n1, and kill it when ``step`` begins."""
    argv = ["add-node", "n1", "--cluster", NAME, "--yes", "--output", "jsonl"]
    with cluster.start(*argv) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("kind"), event.get("step")) == ("step-intent", step):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert is_cordoned(cluster, "n1")


def runs(cluster: Cluster, *argv: str) -> tuple[int, dict[str, Any]]:
    """Run ``scaler runs`` and return its exit code and envelope."""
    with cluster.start("runs", *argv, "--cluster", NAME, "--output", "json") as process:
        out, _ = process.communicate()
    return process.returncode, json.loads(out)


def unfinished(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the unfinished runs, the newest first; tests before this one leave theirs."""
    code, told = runs(cluster, "list", "--unfinished")
    assert code == 0, told
    found: list[dict[str, Any]] = told["data"]["runs"]
    return found


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("credentials_issued", marks=pytest.mark.long),
        "kubelet_joined",
        pytest.param("join_verified", marks=pytest.mark.long),
    ],
)
def test_a_killed_run_is_gone_on_with_by_what_its_journal_intended(cluster: Cluster, step: str) -> None:
    kill_at(cluster, step)
    newest = unfinished(cluster)[0]
    assert (newest["status"], newest["half_way"]) == ("interrupted", ["n1"])
    code, told = runs(cluster, "resume", newest["run"], "--yes")
    assert newest["run"] not in {each["run"] for each in unfinished(cluster)}
    assert (code, told["data"]["added"]) == (0, ["n1"]), told
    assert not is_cordoned(cluster, "n1")
    assert "n1:" in cluster.inventory.read_text().split("standby:")[0]


@pytest.mark.long
def test_a_controller_that_died_locks_another_one_out_until_it_is_unlocked(cluster: Cluster, tmp_path: Path) -> None:
    text = cluster.variables.read_text()
    cluster.variables.write_text(text + "lease_seconds: 30\n")
    other = {"SCALER_STATE_DIR": str(tmp_path)}
    refusals: list[tuple[int, dict[str, Any]]] = []
    with cluster.start("add-node", "n1", "--cluster", NAME, "--yes", "--output", "jsonl") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("kind"), event.get("step")) == ("step-intent", "worker_installed"):
                refusals.append(cluster.add("n2", **other))
                process.send_signal(signal.SIGKILL)
                break
    refusals.append(cluster.add("n2", **other))
    for code, told in refusals:
        assert (code, told["error"]["kind"]) == (6, "locked"), told
        assert f" on {socket.gethostname()} (process " in told["error"]["message"]
        assert "add-node n1, run 2" in told["error"]["message"]
    unlock = ["unlock", "--i-checked", "--cluster", NAME, "--output", "json"]
    first = cluster.scaler(*unlock, **other)
    assert first.status == 6, first
    assert "has not run out" in json.loads(first.out)["error"]["message"]
    done: list[Completed] = [first]

    def unlocked() -> bool:
        done.append(cluster.scaler(*unlock, **other))
        return done[-1].status == 0

    assert wait_until(SystemClock(), unlocked, timeout=60, every=1), done
    assert json.loads(done[-1].out)["data"]["removed"] is True
    code, told = cluster.add("n2", **other)
    assert (code, told["data"]["added"]) == (0, ["n2"]), told
    free = json.loads(cluster.scaler("unlock", "--cluster", NAME, "--output", "json", **other).out)
    assert (free["data"]["lock"], free["data"]["lease"]) == (None, None)
    # The one that was killed is finished by its own next command, once nobody holds the cluster.
    code, told = cluster.add("n1")
    assert (code, told["data"]["added"]) == (0, ["n1"]), told


@pytest.mark.long
def test_a_run_that_is_terminated_stops_in_order_and_gives_its_lease_back(cluster: Cluster, tmp_path: Path) -> None:
    with cluster.start("add-node", "n1", "--cluster", NAME, "--yes", "--output", "jsonl") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("kind"), event.get("step")) == ("step-intent", "worker_installed"):
                process.send_signal(signal.SIGTERM)
    assert (process.returncode, event["error"]["kind"]) == (10, "aborted")
    code, told = cluster.add("n1", SCALER_STATE_DIR=str(tmp_path))
    assert (code, told["data"]["added"]) == (0, ["n1"]), told


@pytest.mark.long
def test_a_second_interruption_ends_the_run_at_once_and_gives_its_lease_back(cluster: Cluster, tmp_path: Path) -> None:
    began = 0.0
    with cluster.start("add-node", "n1", "--cluster", NAME, "--yes", "--output", "jsonl") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if (event.get("kind"), event.get("step")) == ("step-intent", "kubelet_joined"):
                process.send_signal(signal.SIGINT)
            if event.get("message", "").startswith("interrupted"):
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
    assert time.monotonic() - began < ABORT_SECONDS
    assert (process.returncode, event["error"]["kind"]) == (10, "aborted")
    assert "aborted in the middle" in event["error"]["message"]
    code, told = cluster.add("n1", SCALER_STATE_DIR=str(tmp_path))
    assert (code, told["data"]["added"]) == (0, ["n1"]), told


def test_a_killed_run_is_taken_back_and_its_host_is_as_before(cluster: Cluster) -> None:
    before = cluster.tree("n1")
    kill_at(cluster, "join_verified")
    newest = unfinished(cluster)[0]
    assert newest["half_way"] == ["n1"]
    code, told = runs(cluster, "rollback", newest["run"], "--yes")
    assert (code, told["data"]["taken_back"]) == (0, ["n1"]), told
    assert cluster.tree("n1") == before
    assert cluster.processes("n1") == {}
    assert sorted(cluster.nodes()) == ["m1"]
    assert newest["run"] not in {each["run"] for each in unfinished(cluster)}


def test_an_interrupted_run_ends_its_step_stops_and_is_finished_by_the_next(cluster: Cluster) -> None:
    argv = ["add-node", "n1", "--cluster", NAME, "--yes", "--output", "jsonl"]
    seen = []
    with cluster.start(*argv) as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            seen.append((event.get("kind"), event.get("step")))
            if seen[-1] == ("step-intent", "worker_installed"):
                process.send_signal(signal.SIGINT)
    assert (process.returncode, event["error"]["kind"]) == (10, "aborted")
    assert ("step-done", "worker_installed") in seen
    assert ("step-intent", "kubelet_joined") not in seen
    assert is_cordoned(cluster, "n1")
    code, told = cluster.add("n1")
    assert (code, told["data"]["added"]) == (0, ["n1"]), told


@pytest.mark.long
def test_an_inventory_edited_meanwhile_is_not_overwritten(cluster: Cluster) -> None:
    def edit() -> None:
        cluster.inventory.write_text(cluster.inventory.read_text() + "# by hand\n")

    code, told = watch(cluster, ("n1",), "join_verified", edit)
    assert code == 9, told
    assert "was changed while this run went on" in told["error"]["message"]
    text = cluster.inventory.read_text()
    assert text == cluster.baseline.decode() + "# by hand\n"
    assert not is_cordoned(cluster, "n1")
    code, told = cluster.add("n1")
    assert (code, told["data"]["added"]) == (0, ["n1"]), told
    assert "# by hand" in cluster.inventory.read_text()


@pytest.mark.long
def test_the_operators_proxy_is_asked_for_nothing_and_known_to_no_host(cluster: Cluster) -> None:
    # Nobody listens there, so whatever went by it would fail.
    proxy = "http://proxy-of-the-operator.invalid:9"
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    told = {spelled: proxy for name in names for spelled in (name, name.upper())}
    code, envelope = cluster.add("n1", **told)
    assert (code, envelope["data"]["added"]) == (0, ["n1"]), envelope
    for name in ("n1", "m1"):
        places = "/proc/[0-9]*/environ /etc /var/lib/kubelet /var/lib/scaler /run/systemd"
        found = cluster.hosts[name].exec(["sh", "-c", f"grep -rlsF proxy-of-the-operator {places}"], check=False)
        # 1 is grep's word for nothing; 2, as here, where a process ended meanwhile.
        assert (found.status in {1, 2}, found.out) == (True, ""), found


def test_a_host_given_by_address_joins_and_is_written_with_its_connection(cluster: Cluster) -> None:
    text = cluster.inventory.read_text()
    cluster.inventory.write_text("".join(line for line in text.splitlines(keepends=True) if "n4:" not in line))
    key, address = str(cluster.where.client_key), str(cluster.hosts["n4"].address)
    code, told = cluster.add(address, "--name", "web-1", "--user", "ops", "--key", key)
    assert (code, told["data"]["added"]) == (0, ["web-1"]), told
    workers = cluster.inventory.read_text().split("standby:")[0]
    assert f"ansible_host: {address}" in workers
    assert "ansible_user: ops" in workers


@pytest.mark.long
def test_a_worker_whose_runtime_comes_from_the_store_joins(cluster: Cluster) -> None:
    text = cluster.variables.read_text().replace("runtime_source: distribution", "runtime_source: store")
    text = text.replace("cni_bin_dir: /usr/lib/cni", 'cni_plugins_version: "1.1.1"')
    cluster.variables.write_text(text + 'containerd_version: "1.6.20"\nrunc_version: "1.1.5"\n')
    code, told = cluster.add("n1")
    assert (code, told["data"]["added"]) == (0, ["n1"]), told
    pid = cluster.hosts["n1"].exec(["systemctl", "show", "-P", "MainPID", "containerd"]).out.strip()
    assert cluster.hosts["n1"].exec(["readlink", f"/proc/{pid}/exe"]).out.strip() == "/usr/local/bin/containerd"
    assert "/opt/cni/bin/bridge" in cluster.tree("n1")
