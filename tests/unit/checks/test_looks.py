"""What each check of a full proof says of a node: that it holds, why it does not, or what is not there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from scaler.checks import join
from scaler.checks.join import Absent, Facts, JoinCheck, Look
from scaler.checks.join.cgroup_driver import misplaced
from scaler.checks.parts import LOG_LINE, Place, parts
from scaler.checks.parts.probed import TOLD_TO_END
from tests.fakes.scene import TARGET, FakeScene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UID = "7a0c3c10-24bb-4ad8-9d42-6f4bdb5cf1e2"
ID = "0f1e2d3c"


def look(name: str, scene: FakeScene) -> str | Absent:
    (check,) = join.chosen([name])
    assert isinstance(check, Look)
    return check.look(scene)


def slices(name: str, *addresses: str, ready: bool = True) -> dict[str, Any]:
    points = [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses]
    labels = {"kubernetes.io/service-name": name}
    return {"kind": "EndpointSlice", "metadata": {"name": f"{name}-x", "labels": labels}, "endpoints": points}


def test_a_log_is_read_through_the_api() -> None:
    scene = FakeScene()
    scene.answers = lambda _part, _container, script: f"{LOG_LINE}\n" if script == "logs main-0" else ""
    assert look("logs-answer", scene) == ""
    scene.answers = lambda *_: ""
    assert look("logs-answer", scene) == "the pod's log is empty"


def test_what_comes_through_a_forwarded_port_is_the_pods_own_name() -> None:
    scene = FakeScene()
    scene.forwarded = b"main-0\n"
    assert look("port-forward", scene) == ""
    scene.forwarded = b"main-7\n"
    assert look("port-forward", scene) == "main-7 came through the forwarded port, not main-0"


def test_a_pod_of_another_network_has_not_lived_well() -> None:
    scene = FakeScene(facts=Facts(pod_networks={"n1": ("10.8.0.0/16", "10.244.1.0/24")}))
    assert look("pod-life", scene) == ""
    scene = FakeScene(facts=Facts(pod_networks={"n1": ("10.244.7.0/24",)}))
    assert "10.244.1.2 is not of 10.244.7.0/24" in str(look("pod-life", scene))


def test_a_pod_that_does_not_end_has_not_lived_well() -> None:
    scene = FakeScene()
    scene.ends = False
    assert look("pod-life", scene) == "the pod was told to end and is still there after 30 s"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"/kubepods/burstable/pod{UID}/{ID}", ""),
        (f"/../../../kubepods/pod{UID}/{ID}", ""),
        (f"/kubepods.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope", ""),
        (f"/kubepods-burstable-pod{UID.replace('-', '_')}.slice:cri-containerd:{ID}", "the kubelet uses the cgroup"),
        (f"/system.slice/cri-containerd-{ID}.scope", "the runtime uses the cgroup driver systemd"),
        (f"/system.slice/containerd.service/{ID}", "the container is not inside of its pod's control group"),
    ],
)
def test_two_cgroup_drivers_are_told_by_where_a_container_is(path: str, said: str) -> None:
    assert misplaced(path, UID).startswith(said)
    assert bool(misplaced(path, UID)) == bool(said)


@pytest.mark.parametrize(
    ("printed", "holds"),
    [
        (f"11:memory:/kubepods/burstable/pod{UID}/{ID}\n", True),
        (f"0::/../cri-containerd-{ID}.scope\n", False),
        (f"5:memory:/kubepods-podx.slice:cri-containerd:{ID}\n", False),
        ("", False),
    ],
)
def test_the_place_of_a_container_is_read_from_the_host(printed: str, holds: bool) -> None:  # noqa: FBT001
    scene = FakeScene()
    scene.add("main", uid=UID, containers={"main": {"containerID": f"containerd://{ID}"}})
    scene.add("host")
    scene.answers = lambda part, _container, script: printed if part == "host" and ID in script else ""
    assert (look("cgroup-driver", scene) == "") == holds


def oom(**eater: Any) -> FakeScene:
    scene = FakeScene()
    scene.add("limits", containers={"eater": eater, "burner": {"state": {"running": {}}}})
    return scene


def test_only_what_the_kernel_killed_for_its_memory_has_been_stopped_by_the_limit() -> None:
    assert look("oom-kill", oom(state={"terminated": {"reason": "OOMKilled", "exitCode": 137}})) == ""
    assert look("oom-kill", oom(state={"terminated": {"reason": "Error", "exitCode": 137}})) == ""
    ended = oom(state={"terminated": {"reason": "Completed", "exitCode": 0}})
    assert look("oom-kill", ended) == "a container took more memory than its limit and ended with Completed 0"
    assert "was not killed within 40 s" in str(look("oom-kill", oom(state={"running": {}})))


def test_a_neighbour_that_is_killed_too_is_a_failure() -> None:
    scene = oom(state={"terminated": {"reason": "OOMKilled", "exitCode": 137}})
    scene.pods["limits-0"]["status"]["containerStatuses"][1]["state"] = {"terminated": {}}
    assert look("oom-kill", scene) == "another container of the pod ended with it"


def test_who_is_never_held_back_has_no_limit() -> None:
    scene = oom(state={"running": {}})
    scene.answers = lambda *_: "nr_periods 90\nnr_throttled 88\nthrottled_time 5\n"
    assert look("cpu-throttled", scene) == ""
    scene.answers = lambda *_: "nr_periods 0\nnr_throttled 0\n"
    assert "never held back" in str(look("cpu-throttled", scene))


def spaces(**changes: str) -> Callable[[str, str, str], str]:
    own = {"pid": "pid:[1]", "net": "net:[2]", "mnt": "mnt:[3]", "uts": "uts:[4]", "ipc": "ipc:[5]"}
    hosts = {"pid": "pid:[91]", "net": "net:[92]", "mnt": "mnt:[93]", "uts": "uts:[94]", "ipc": "ipc:[95]"}
    told = {**own, "name": "main-0", "first": "sh -c", **changes}

    def answer(part: str, _container: str, _script: str) -> str:
        return "".join(f"{key} {value}\n" for key, value in (told if part == "main" else hosts).items())

    return answer


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"net": "net:[92]"}, "the pod shares net with the host or with another pod"),
        ({"name": "n1"}, "the pod's host name is n1, not main-0"),
        ({"first": "/sbin"}, "process 1 of the pod is not its own: /sbin"),
    ],
)
def test_a_pod_has_namespaces_of_its_own(changes: dict[str, str], said: str) -> None:
    scene = FakeScene()
    scene.add("host")
    scene.answers = spaces(**changes)
    assert look("pod-namespaces", scene) == said


def test_user_namespaces_are_not_there_before_they_are_on_and_where_the_runtime_has_none() -> None:
    assert look("user-namespace", FakeScene()) == Absent(
        "Kubernetes 1.20.2 has user namespaces off by default (on from 1.33)"
    )
    scene = FakeScene(facts=Facts(version="1.34.1"))
    assert look("user-namespace", scene) == Absent("the node's runtime tells that it has no user namespaces")


def test_root_in_a_user_namespace_is_not_root_on_the_host() -> None:
    scene = FakeScene(facts=Facts(version="1.34.1", user_namespaces=frozenset({"n1"})))
    scene.add("mapped")
    scene.answers = lambda *_: "         0   65536   65536\n"
    assert look("user-namespace", scene) == ""
    scene.answers = lambda *_: "         0          0 4294967295\n"
    assert look("user-namespace", scene) == "root of the pod is user 0 of the host"


ENDED = {"restartCount": 1, "lastState": {"terminated": {"exitCode": TOLD_TO_END}}}
CRASHED = {"restartCount": 1, "lastState": {"terminated": {"exitCode": 1}}}


def test_a_restart_counts_only_where_the_container_was_told_to_end() -> None:
    scene = FakeScene()
    scene.add("probed", containers={f"live-{kind}": ENDED for kind in ("exec", "tcp", "http")})
    assert look("probe-liveness", scene) == ""
    for other in (CRASHED, {"restartCount": 0}):
        scene.add("probed", containers={"live-exec": ENDED, "live-tcp": other, "live-http": ENDED})
        assert look("probe-liveness", scene) == "not restarted though the liveness probe fails: live-tcp"


def started(**changes: dict[str, Any]) -> FakeScene:
    scene = FakeScene()
    late = {f"start-{kind}": {"started": True} for kind in ("exec", "tcp", "http")}
    scene.add("probed", containers={**late, "start-never": {"started": False, **ENDED}, **changes})
    return scene


def test_a_startup_probe_holds_back_and_kills() -> None:
    assert look("probe-startup", started()) == ""
    early = started(**{"start-tcp": {"started": True, "restartCount": 1}})
    assert look("probe-startup", early) == "killed before its startup probe had succeeded: start-tcp"
    never = started(**{"start-http": {"started": False}})
    assert "did not within 50 s: start-http" in str(look("probe-startup", never))
    for other in (CRASHED, {"restartCount": 0}):
        alive = started(**{"start-never": {"started": False, **other}})
        assert look("probe-startup", alive) == "a container whose startup probe never succeeds was not killed for it"


def switched(*, leaves: bool = True, comes_back: bool = True) -> FakeScene:
    scene = FakeScene()
    scene.add("ready")
    scene.told["EndpointSlice"] = [slices("ready-0", "10.244.1.9")]

    def answer(_part: str, _container: str, script: str) -> str:
        if script.startswith("touch") and leaves:
            scene.told["EndpointSlice"] = [slices("ready-0", "10.244.1.9", ready=False)]
        if script.startswith("rm") and comes_back:
            scene.told["EndpointSlice"] = [slices("ready-0", "10.244.1.9")]
        return ""

    scene.answers = answer
    return scene


def test_a_pod_leaves_its_services_endpoints_and_comes_back() -> None:
    assert look("probe-readiness", switched()) == ""
    assert "exec: a pod whose probe fails stays" in str(look("probe-readiness", switched(leaves=False)))
    assert "exec: a pod whose probe succeeds again" in str(look("probe-readiness", switched(comes_back=False)))


def guarded(*, engine: str, lets_in: bool = True, keeps_out: bool) -> FakeScene:
    scene = FakeScene(facts=Facts(policy_engine=engine))
    for part in ("guarded", "ready"):
        scene.add(part)
    open_to = {"main": lets_in, "ready": not keeps_out}
    scene.answers = lambda part, _container, _script: "guarded-0\n" if open_to[part] else ""
    return scene


def test_a_policy_that_keeps_nobody_out_is_a_failure_only_where_somebody_should_see_to_it() -> None:
    assert look("network-policy", guarded(engine="calico-node", keeps_out=True)) == ""
    assert look("network-policy", guarded(engine="", keeps_out=True)) == ""
    assert look("network-policy", guarded(engine="", keeps_out=False)) == Absent(
        "no network here that keeps to NetworkPolicies"
    )
    said = look("network-policy", guarded(engine="calico-node", keeps_out=False))
    assert said == "a NetworkPolicy keeps nobody out, though calico-node is there to see to it"


def test_a_policy_that_keeps_its_friends_out_is_a_failure_everywhere() -> None:
    for engine in ("", "calico-node"):
        said = look("network-policy", guarded(engine=engine, lets_in=False, keeps_out=True))
        assert said == "a pod that a NetworkPolicy lets in is kept out"


def rolled(*, rolls: bool = True) -> FakeScene:
    scene = FakeScene()

    def deployment(generation: int, observed: int) -> dict[str, Any]:
        counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": observed}
        return {"metadata": {"name": "rolled-0", "generation": generation}, "status": counts}

    def pod(uid: str) -> None:
        scene.add("rolled", uid=uid)
        scene.pods["rolled-0"]["metadata"]["labels"] = {"part": "rolled", "number": "0"}

    pod("old")
    scene.told["Deployment"] = [deployment(1, 1)]

    def answer(_part: str, _container: str, script: str) -> str:
        if script.startswith("set env"):
            scene.told["Deployment"] = [deployment(2, 2 if rolls else 1)]
            pod("new" if rolls else "old")
        return ""

    scene.answers = answer
    return scene


def test_a_deployment_is_rolled_when_another_pod_has_taken_the_first_ones_place() -> None:
    assert look("deployment-rolls", rolled()) == ""
    assert "was not rolled to its new version within 45 s" in str(look("deployment-rolls", rolled(rolls=False)))


def ordered(*, both_at_once: bool = False, comes_back: bool = True) -> FakeScene:
    scene = FakeScene()
    scene.add("ordered-0-0", ready=False)
    if both_at_once:
        scene.add("ordered-0-1")

    def second_passes(second: int) -> None:
        if second == 1:
            scene.add("ordered-0-0")
            scene.add("ordered-0-1")

    def answer(part: str, _container: str, script: str) -> str:
        if script.startswith("delete pod ordered-0-0") and comes_back:
            scene.add("ordered-0-0", uid="another")
        return f"{part}\n"

    scene.passes, scene.answers = second_passes, answer
    return scene


def test_a_stateful_sets_pods_come_in_order_and_keep_their_names() -> None:
    assert look("statefulset-orders", ordered()) == ""
    assert "was there before the first one was Ready" in str(look("statefulset-orders", ordered(both_at_once=True)))
    assert "was not back after 45 s" in str(look("statefulset-orders", ordered(comes_back=False)))


def test_a_headless_service_lists_the_nodes_own_pod() -> None:
    scene = FakeScene()
    scene.told["EndpointSlice"] = [slices("headless", "10.244.1.2", "10.244.0.2")]
    assert look("headless", scene) == ""
    scene.told["EndpointSlice"] = [slices("headless", "10.244.0.2")]
    assert "does not list 10.244.1.2" in str(look("headless", scene))


def test_a_claim_is_made_only_where_a_default_class_is() -> None:
    assert look("volume-claim", FakeScene()) == Absent("no default StorageClass in this cluster")
    scene = FakeScene(facts=Facts(storage_class="fast"))
    assert "a pod with a claim of StorageClass fast: the pod claimed-0 is not Ready" in str(look("volume-claim", scene))
    scene.add("claimed")
    scene.answers = lambda *_: "here\n"
    assert look("volume-claim", scene) == ""


def test_a_load_balancer_is_asked_where_one_is_and_has_an_address() -> None:
    absent = Absent("no Service of this cluster has the address of a load balancer")
    assert look("load-balancer", FakeScene()) == absent
    scene = FakeScene(facts=Facts(balancer="web"))
    service: dict[str, Any] = {"kind": "Service", "metadata": {"name": "balanced"}, "status": {"loadBalancer": {}}}
    scene.answers = lambda *_: json.dumps(service)
    assert look("load-balancer", scene) == "the Service of type LoadBalancer has no address after 60 s"
    service["status"]["loadBalancer"] = {"ingress": [{"ip": "192.0.2.1"}]}
    scene.answers = lambda _part, _container, script: (
        json.dumps(service) if "get service" in script else "" if "nc -w 3 192.0.2.1 8080" in script else "who?"
    )
    assert look("load-balancer", scene) == ""


def test_parts_that_depend_on_something_are_made_only_where_it_is() -> None:
    claimed, mapped = parts()["claimed"], parts()["mapped"]
    assert not claimed.there(Facts(), "n1")
    assert claimed.there(Facts(storage_class="fast"), "n1")
    assert not mapped.there(Facts(user_namespaces=frozenset({"n2"})), "n1")


@pytest.mark.parametrize("name", sorted(parts()))
def test_the_objects_of_a_part_are_labelled_and_on_their_node_alone(name: str) -> None:
    for told in parts()[name].objects(Place("scaler-verify-r", "n1", 3, "busybox")):
        assert told["metadata"]["namespace"] == "scaler-verify-r"
        assert told["metadata"]["labels"] == {"app": "scaler-verify", "part": name, "number": "3"}
        spec = told["spec"] if told["kind"] == "Pod" else told["spec"].get("template", {}).get("spec")
        if spec:
            terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            assert terms["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["n1"]
            assert all(each["image"] == "busybox" for each in spec["containers"])


def test_every_part_that_a_check_needs_is_there() -> None:
    needed = {part for check in join.checks(full=True) for part in check.needs}
    assert needed - {"balanced"} <= set(parts())


@pytest.mark.parametrize("side", join.SIDES)
def test_every_line_is_one_that_a_shell_understands(side: join.Side) -> None:
    for first in (True, False):
        target = TARGET._replace(facts=TARGET.facts._replace(balancer="x", outside=("a.b",)))
        script = join.script(join.lines(join.checks(full=True), side, first=first), target)
        done = subprocess.run(["sh", "-n", "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("part", sorted(parts()))
def test_every_container_runs_what_a_shell_understands(part: str) -> None:
    for told in parts()[part].objects(Place("ns", "n1", 0, "busybox")):
        spec = told["spec"] if told["kind"] == "Pod" else told["spec"].get("template", {}).get("spec", {})
        for each in spec.get("containers", []):
            done = subprocess.run(["sh", "-n", *each["command"][1:]], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", ""),
        ("secret/told", "the Secret's volume is wrong"),
        ("projected/token", "the projected service account token is wrong"),
        ("config/told", "the ConfigMap's volume is wrong"),
        ("projected/name", "the downward API's volume is wrong"),
    ],
)
def test_what_a_volume_does_not_hold_is_told(tmp_path: Path, wrong: str, said: str) -> None:
    held = {
        "config/told": "told-by-a-configmap\n",
        "secret/told": "told-by-a-secret\n",
        "projected/token": "a.b.c",
        "projected/name": "main-0",
    }
    for name, text in held.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("" if name == wrong else text)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "secret" / "told").chmod(0o400)
    (check,) = join.chosen(["volumes"])
    assert isinstance(check, JoinCheck)
    line = str(check.line(TARGET)).replace("/verify/", f"{tmp_path}/")
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == (said, int(bool(said)))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"memory.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "2"}, ""),
        ({"memory.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "11"}, ""),
        ({"memory.max": "max", "cpu.max": "50000 100000", "cpu.weight": "2"}, "the memory limit is max bytes"),
        ({"memory.max": "67108864", "cpu.max": "max 100000", "cpu.weight": "2"}, "the CPU limit is 'max 100000'"),
        ({"memory.max": "67108864", "cpu.max": "50000 100000", "cpu.weight": "100"}, "the CPU request is 100 shares"),
        (
            {
                "memory/memory.limit_in_bytes": "67108864",
                "cpu/cpu.cfs_quota_us": "50000",
                "cpu/cpu.cfs_period_us": "100000",
                "cpu/cpu.shares": "51",
            },
            "",
        ),
        (
            {
                "memory/memory.limit_in_bytes": "67108864",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "cpu,cpuacct/cpu.cfs_period_us": "100000",
                "cpu,cpuacct/cpu.shares": "51",
            },
            "the CPU limit is '-1 100000'",
        ),
    ],
)
def test_the_files_of_a_control_group_say_the_limits(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (check,) = join.chosen(["cgroup-limits"])
    assert isinstance(check, JoinCheck)
    line = str(check.line(TARGET)).replace("/sys/fs/cgroup", str(tmp_path))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(said)
    assert (done.stdout == "", done.returncode) == (not said, int(bool(said)))


PINGS = """
n=0
ping() {{ case "$*" in *"-s 56 "*) return {small} ;; esac; echo x >> {log}; [ $(wc -l < {log}) -gt {lost} ]; }}
ip() {{ echo '10.0.0.2 via 10.0.0.1 dev eth0 src 10.0.0.9'; }}
cat() {{ echo 1500; }}
awk() {{ echo {told}; }}
"""


@pytest.mark.parametrize(
    ("small", "lost", "told", "status"),
    [
        (0, 0, "0", 0),
        (0, 1, "0", 0),
        (0, 1, "$(wc -l < LOG)", 1),
        (0, 2, "0", 1),
        (1, 0, "0", 3),
    ],
    ids=["arrives", "lost-by-chance", "cut-after-the-kernel-learned", "lost-always", "no-icmp"],
)
def test_a_full_sized_packet_that_is_lost_is_told_from_a_loss_by_chance(
    tmp_path: Path, small: int, lost: int, told: str, status: int
) -> None:
    (check,) = join.chosen(["full-mtu"])
    assert isinstance(check, JoinCheck)
    log = tmp_path / "log"
    log.touch()
    functions = PINGS.format(small=small, lost=lost, log=log, told=told.replace("LOG", str(log)))
    done = subprocess.run(
        ["sh", "-c", functions + str(check.line(TARGET))], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    if status == 1:
        assert "a packet of 1500 bytes, the MTU of eth0, to the pod on w1 at 10.244.0.2 was lost" in done.stdout
