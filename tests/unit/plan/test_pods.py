from __future__ import annotations

from typing import Any

from scaler.model.pods import PersistentVolume, Pod
from scaler.plan.plan import Drain
from scaler.plan.pods import Fate, in_order, leaving, missing, tied_claims, told


def pod(name: str, kind: str = "", **more: Any) -> Pod:
    owners = [{"kind": kind, "name": "o", "controller": True}] if kind else []
    metadata = {
        "name": name,
        "namespace": "a",
        "uid": name,
        "ownerReferences": owners,
        "annotations": more.pop("annotations", {}),
    }
    status = {"phase": more.pop("phase", "Running")}
    return Pod.model_validate({"metadata": metadata, "spec": {"nodeName": "n1", **more}, "status": status})


def claimed(name: str) -> list[dict[str, Any]]:
    return [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]


def test_pods_are_told_apart_by_what_becomes_of_them() -> None:
    mirror = {"kubernetes.io/config.mirror": "x"}
    pods = [
        pod("moves", "ReplicaSet"),
        pod("ordered-0", "StatefulSet"),
        pod("bare"),
        pod("daemon", "DaemonSet"),
        pod("mirror", "Node", annotations=mirror),
        pod("finished", "Job", phase="Failed"),
    ]
    assert {each.name.split("-")[0]: each.fate for each in leaving(pods, ())} == {fate.name: fate for fate in Fate}


def test_each_option_names_the_pods_that_need_it() -> None:
    scratch = [{"name": "scratch", "emptyDir": {}}]
    pods = leaving([pod("bare"), pod("daemon", "DaemonSet"), pod("cache", "ReplicaSet", volumes=scratch)], ())
    assert missing(pods, Drain()) == {
        "--force": ("a/bare",),
        "--delete-emptydir-data": ("a/cache (emptyDir scratch)",),
        "--ignore-daemonsets": ("a/daemon",),
    }
    assert missing(pods, Drain(force=True, delete_emptydir_data=True, ignore_daemonsets=True)) == {}


def test_a_daemonsets_and_a_finished_pods_scratch_needs_no_option() -> None:
    scratch = [{"name": "scratch", "emptyDir": {}}]
    pods = leaving([pod("d", "DaemonSet", volumes=scratch), pod("f", phase="Succeeded", volumes=scratch)], ())
    assert missing(pods, Drain(ignore_daemonsets=True)) == {}


def test_a_volume_that_is_on_the_node_is_lost_with_it() -> None:
    def volume(name: str, **spec: Any) -> PersistentVolume:
        spec["claimRef"] = {"namespace": "a", "name": name}
        return PersistentVolume.model_validate({"metadata": {"name": f"pv-{name}"}, "spec": spec})

    here = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"]}]}
    volumes = [
        volume("local", local={"path": "/x"}),
        volume("tied", nodeAffinity={"required": {"nodeSelectorTerms": [here]}}),
        volume("free"),
    ]
    assert tied_claims(volumes) == {("a", "local"), ("a", "tied")}
    pods = [pod("db-0", "StatefulSet", volumes=claimed("local")), pod("db-1", "StatefulSet", volumes=claimed("free"))]
    assert missing(leaving(pods, tied_claims(volumes)), Drain()) == {
        "--delete-emptydir-data": ("a/db-0 (local volume of claim local)",)
    }


def test_a_statefulsets_pods_stand_in_reverse_order_by_number() -> None:
    pods = leaving([pod(f"db-{n}", "StatefulSet") for n in (1, 10, 2)], ())
    assert [each.name for each in in_order(pods)["a/StatefulSet/o"]] == ["db-10", "db-2", "db-1"]


def test_what_is_lost_is_told_with_the_pod() -> None:
    here = [{"name": "log", "hostPath": {"path": "/srv/x"}}, {"name": "scratch", "emptyDir": {}}]
    (line,) = told(leaving([pod("web", "ReplicaSet", volumes=here)], ()))
    assert line == (
        "n1: started anew on another node: a/web (loses emptyDir scratch, what it wrote to /srv/x stays behind)"
    )
