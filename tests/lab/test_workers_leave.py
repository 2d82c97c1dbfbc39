"""Workers leave while a StatefulSet with volumes and a budget runs on them; each test says who is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from scaler.lab.images import BUSYBOX_TAG
from scaler.lab.tools import wait_until
from tests.lab.routes import STATIC, right

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.conftest import Cluster

pytestmark = pytest.mark.lab

NODES = ("n1", "n2", "n3")
# Where every host of the lab sees one directory of this machine, as storage on the network is seen.
SHARED = "/srv/shared"


class Inhabited(NamedTuple):
    cluster: Cluster
    fresh: dict[str, dict[str, Any]]
    data: Path

    def whole(self) -> Cluster:
        """Let all three be nodes, and the StatefulSet run on them."""
        cluster = self.cluster
        lost = [name for name in NODES if name not in cluster.inventory.read_text()]
        if lost:
            cluster.fresh(*lost)
            yaml = YAML()
            tree = yaml.load(cluster.inventory)
            known = yaml.load(cluster.baseline)["all"]["children"]["standby"]["hosts"]
            tree["all"]["children"]["standby"]["hosts"].update({name: known[name] for name in lost})
            yaml.dump(tree, cluster.inventory)
        away = sorted(set(NODES) - set(cluster.nodes()))
        if away:
            code, told = cluster.add(*away)
            assert code == 0, told
        wait_until(lambda: ready(cluster) == {"db-0", "db-1"}, "the StatefulSet runs", timeout=60)
        return cluster

    def without_one(self) -> str:
        """Let one of the three be away, taken out as any other, and the other two be nodes; return its name."""
        away = groups(self.cluster)["standby"] & {*NODES}
        if len(away) != 1:
            self.whole()
            away = {where(self.cluster, "db-1")}
            code, told = remove(self.cluster, *away)
            assert code == 0, told
        return away.pop()


@pytest.fixture(scope="module")
def inhabited(cluster: Cluster) -> Iterator[Inhabited]:
    cluster.pristine()
    data = cluster.where.root / "shared"
    for name in ("db-0", "db-1", "agent"):
        (data / name / "sub").mkdir(parents=True, exist_ok=True)
        for path in (data / name / "sub").iterdir():
            path.unlink()
    (data / "agent" / "sub" / "kept").write_text("kept")
    fresh = {name: cluster.tree(name) for name in NODES}
    code, told = cluster.add(*NODES)
    assert (code, told["data"]["added"]) == (0, [*NODES]), told
    items = list(objects(BUSYBOX_TAG))
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    try:
        wait_until(lambda: ready(cluster) == {"db-0", "db-1"}, "the StatefulSet runs", timeout=60)
        yield Inhabited(cluster, fresh, data)
    finally:
        kinds = "statefulset/db,pdb/db,daemonset/agent,pvc/data-db-0,pvc/data-db-1,pv/db-0,pv/db-1"
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", *kinds.split(","))
        cluster.pristine()


def objects(image: str) -> Iterator[dict[str, Any]]:
    """Yield a StatefulSet of two with a volume each, its budget, and a DaemonSet that mounts a part of a volume."""
    for number in (0, 1):
        spec = {
            "capacity": {"storage": "1Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": f"{SHARED}/db-{number}"},
            "claimRef": {"namespace": "default", "name": f"data-db-{number}"},
        }
        yield {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"db-{number}"}, "spec": spec}
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}}
    yield {"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "db"}, "spec": budget}
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    db = {"replicas": 2, "serviceName": "db", "volumeClaimTemplates": [claim], **template("db", image, [])}
    yield {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": db}
    volume = {"name": "data", "hostPath": {"path": f"{SHARED}/agent"}}
    agent = template("agent", image, [volume])
    yield {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": agent}


def template(app: str, image: str, volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return selector and template of pods that write down each time they start."""
    container = {
        "name": app,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "hostname >> /data/born; exec sleep 100000"],
        # A part of a volume is a mount below /var/lib/kubelet.
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "sub"}],
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}
    labels = {"app": app}
    return {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}


def pods(cluster: Cluster) -> dict[str, dict[str, Any]]:
    told = json.loads(cluster.kubectl("get", "pods", "-l", "app=db", "-o", "json"))["items"]
    return {pod["metadata"]["name"]: pod for pod in told}


def ready(cluster: Cluster) -> set[str]:
    def runs(pod: dict[str, Any]) -> bool:
        conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
        return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]

    return {name for name, pod in pods(cluster).items() if runs(pod)}


def where(cluster: Cluster, pod: str) -> str:
    return str(pods(cluster)[pod]["spec"]["nodeName"])


def remove(cluster: Cluster, name: str, *more: str) -> tuple[int, dict[str, Any]]:
    return cluster.change("remove-node", name, "--ignore-daemonsets", *more)


def groups(cluster: Cluster) -> dict[str, set[str]]:
    children = YAML().load(cluster.inventory)["all"]["children"]
    return {group: set((children[group] or {}).get("hosts") or {}) for group in ("workers", "standby")}


def test_a_budget_that_allows_nothing_stops_the_removal_and_the_node_is_opened_again(inhabited: Inhabited) -> None:
    cluster = inhabited.whole()
    cluster.kubectl("patch", "pdb", "db", "-p", '{"spec": {"minAvailable": 2}}')
    wait_until(
        lambda: json.loads(cluster.kubectl("get", "pdb", "db", "-o", "json"))["status"]["disruptionsAllowed"] == 0,
        "the budget allows nothing",
        timeout=30,
    )
    name = where(cluster, "db-0")
    before = cluster.processes(name)
    code, told = remove(cluster, name, "--timeout", "8s")
    cluster.kubectl("patch", "pdb", "db", "-p", '{"spec": {"minAvailable": 1}}')
    assert code == 9, told
    why = told["data"]["failed"][name]
    assert "PodDisruptionBudget default/db (2 healthy, 2 wanted) does not let default/db-0 go" in why
    node = cluster.nodes()[name]
    assert "unschedulable" not in node["spec"]
    assert not any("scaler" in key for key in node["metadata"]["annotations"])
    assert cluster.processes(name) == before


def test_a_statefulsets_pod_keeps_its_name_and_its_data_on_its_new_node(inhabited: Inhabited) -> None:
    cluster = inhabited.whole()
    name = where(cluster, "db-1")
    born = inhabited.data / "db-1" / "sub" / "born"
    before = born.read_text()
    code, told = remove(cluster, name)
    assert (code, told["data"]["removed"], told["data"]["later"]) == (0, [name], {}), told
    assert ready(cluster) == {"db-0", "db-1"}
    assert where(cluster, "db-1") != name
    assert born.read_text().startswith(before)
    assert len(born.read_text()) > len(before)
    assert name not in cluster.nodes()
    assert name in groups(cluster)["standby"]
    assert name not in groups(cluster)["workers"]
    nodes = [*cluster.nodes()]
    wait_until(lambda: right(cluster, *nodes, protocol=STATIC), "nobody has a way to its pods any more", timeout=15)


def test_its_host_is_as_a_fresh_one_and_nothing_was_removed_through_a_mount(inhabited: Inhabited) -> None:
    cluster, name = inhabited.cluster, inhabited.without_one()
    host = cluster.hosts[name]
    assert cluster.tree(name) == inhabited.fresh[name]
    assert cluster.processes(name) == {}
    assert (inhabited.data / "agent" / "sub" / "kept").read_text() == "kept"
    mounts = host.exec(["cat", "/proc/self/mountinfo"]).out
    assert [line for line in mounts.splitlines() if "kubelet/" in line or "k8s.io" in line or "/netns/" in line] == []
    links = host.exec(["ip", "-br", "link"]).out
    assert "veth" not in links
    assert "cni0" not in links
    assert "KUBE-" not in host.exec(["iptables-save"]).out
    running = host.exec(["ps", "-ef"]).out
    assert "containerd-shim" not in running
    assert "sleep 100000" not in running


def test_what_is_absent_already_is_no_error(inhabited: Inhabited) -> None:
    name = inhabited.without_one()
    code, told = remove(inhabited.cluster, name)
    assert (code, told["data"]["present"], told["data"]["changed"]) == (0, [name], False), told


def test_it_can_join_again(inhabited: Inhabited) -> None:
    name = inhabited.without_one()
    code, told = inhabited.cluster.add(name)
    assert (code, told["data"]["added"]) == (0, [name]), told


def test_a_host_that_is_switched_off_goes_with_dead_only(inhabited: Inhabited) -> None:
    cluster = inhabited.whole()
    name = where(cluster, "db-1")
    code, told = remove(cluster, name, "--dead")
    assert (code, told["error"]["kind"]) == (4, "preflight"), told
    assert "SSH answers there" in told["error"]["message"]
    cluster.hosts[name].kill()
    code, told = remove(cluster, name)
    assert (code, told["error"]["kind"]) == (4, "preflight"), told
    assert "--dead" in told["error"]["hint"]
    wait_until(lambda: not is_ready(cluster, name), "the cluster notices", timeout=90)
    code, told = remove(cluster, name, "--dead")
    assert (code, told["data"]["removed"]) == (0, [name]), told
    assert "client certificate" in told["data"]["later"][name]
    assert name not in cluster.nodes()
    assert name not in cluster.inventory.read_text()
    wait_until(lambda: ready(cluster) == {"db-0", "db-1"}, "its pod runs elsewhere", timeout=60)


def is_ready(cluster: Cluster, name: str) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in cluster.nodes()[name]["status"]["conditions"])
