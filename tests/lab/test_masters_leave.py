"""The leader, which holds the VIP, leaves while a writer writes; then another master dies and is replaced as one plan.

The masters are the load balancers here.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from scaler.lab import lab
from scaler.lab.images import PAUSE_TAG
from scaler.lab.tools import wait_until
from tests.lab.conftest import Cluster, kept, made
from tests.lab.masters import Masters, equal, holds_vip, lead, voters
from tests.lab.writing import Written, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

NAME = "masters-leave"
SHAPE = ("--vip", "--loadbalancers", "0", "--masters", "4", "--workers", "0")


NAMED = {"name": "guarded", "namespace": "default"}
LABELS = {"app": "guarded"}
# A bare pod on m3, whatever its taints, and a budget that keeps it.
GUARDED = [
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**NAMED, "labels": LABELS},
        "spec": {
            "nodeName": "m3",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "pause", "image": PAUSE_TAG}],
        },
    },
    {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": NAMED,
        "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
    },
]


class Left(NamedTuple):
    masters: Masters
    cluster: Cluster
    code: int
    envelope: dict[str, Any]
    written: Written


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    """Let m1, which leads and has the highest priority for the VIP, leave a cluster of three."""
    try:
        cluster = made(NAME, tmp_path_factory.mktemp("state"), keep=kept(), up=SHAPE)
        masters = Masters(cluster)
        code, envelope = cluster.change("add-master", "m2", "m3")
        assert code == 0, envelope
        lead(cluster, "m1")
        wait_until(lambda: holds_vip(cluster, "m1"), "m1 has the VIP", timeout=30)
        with writing(cluster.where, f"leaves-{secrets.token_hex(3)}") as written:
            code, envelope = cluster.change("remove-master", "m1", "--allow-even")
        masters.on = "m2"
        yield Left(masters, cluster, code, envelope, written)
    finally:
        if not kept():
            lab.down(NAME)


def test_the_leader_has_left_and_every_set_is_equal(left: Left) -> None:
    assert (left.code, left.envelope["data"]["removed"]) == (0, ["m1"]), left.envelope
    assert voters(left.cluster, on="m2") == {"m2", "m3"}
    assert equal(left.envelope), left.envelope["data"]["measures"]["sets"]
    assert set(left.cluster.nodes()) == {"m2", "m3"}


def test_no_write_failed_and_none_waited_half_a_second(left: Left) -> None:
    assert left.written.clean, left.written.told


def test_another_load_balancer_has_the_vip(left: Left) -> None:
    assert [name for name in left.cluster.hosts if holds_vip(left.cluster, name)] == ["m2"]


def test_the_service_kubernetes_does_not_name_it(left: Left) -> None:
    assert left.cluster.hosts["m1"].address not in left.masters._endpoints()


def test_its_host_is_as_a_fresh_one(left: Left) -> None:
    now = left.masters._tree("m1")
    # shadow-utils keep a copy of the account files beside them.
    fresh = {path: told for path, told in left.cluster.untouched["m1"]["tree"].items() if not path.endswith("-")}
    assert {path for path in {*fresh, *now} if fresh.get(path) != now.get(path)} == set()
    assert left.cluster.processes("m1") == {}


def test_removing_it_again_changes_nothing(left: Left) -> None:
    with left.masters.unchanged():
        code, envelope = left.cluster.change("remove-master", "m1", "--allow-even")
    assert (code, envelope["data"]["present"]) == (0, ["m1"])


def test_a_living_master_is_not_taken_for_dead(left: Left) -> None:
    code, envelope = left.cluster.change("remove-master", "m3", "--dead", "--allow-even")
    assert code == 4, envelope
    assert voters(left.cluster, on="m2") == {"m2", "m3"}


def test_a_master_that_cannot_be_emptied_is_put_back_whole(left: Left) -> None:
    cluster = left.cluster
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": GUARDED}))
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "pod/guarded", "--timeout=60s")
        with writing(cluster.where, f"back-{secrets.token_hex(3)}") as written:
            more = ("--allow-even", "--force", "--timeout", "10s")
            code, envelope = cluster.change("remove-master", "m3", *more)
    finally:
        cluster.kubectl("delete", "pod/guarded", "poddisruptionbudget/guarded", "--grace-period=0", "--force")
    assert (code, envelope["data"]["left"]) == (9, {}), envelope
    assert "PodDisruptionBudget default/guarded" in envelope["error"]["message"], envelope["error"]
    assert not written.told["failures"], written.told
    assert voters(cluster, on="m2") == {"m2", "m3"}
    assert not cluster.nodes()["m3"]["spec"].get("unschedulable")
    assert str(cluster.hosts["m3"].address) in map(str, left.masters._endpoints())


def test_a_dead_master_leaves_etcd_while_the_api_is_down_and_the_rest_once_it_answers(left: Left) -> None:
    cluster = left.cluster
    code, told = cluster.change("add-master", "m1")
    assert code == 0, told
    cluster.hosts["m3"].kill()
    for name in ("m1", "m2"):
        cluster.hosts[name].exec(["systemctl", "stop", "kube-apiserver"])
    try:
        refused, told = cluster.change("add-master", "m4", "--allow-even")
        code, envelope = cluster.change("remove-master", "m3", "--dead", "--allow-even")
        assert refused != 0, told
        assert (code, envelope["data"]["removed"]) == (9, []), envelope
        assert voters(cluster, on="m2") == {"m1", "m2"}
        assert "m3:" in cluster.inventory.read_text().split("standby:")[0]
    finally:
        for name in ("m1", "m2"):
            cluster.hosts[name].exec(["systemctl", "start", "kube-apiserver"])
    wait_until(left.masters._answers, "the API answers", timeout=60)
    wait_until(lambda: not _ready(cluster, "m3"), "the node of m3 is not Ready", timeout=90)
    code, envelope = cluster.change("runs", "resume")
    assert (code, envelope["data"]["removed"]) == (0, ["m3"]), envelope
    assert equal(envelope), envelope["data"]["measures"]["sets"]
    assert set(cluster.nodes()) == {"m1", "m2"}
    cluster.hosts["m3"].power_on()
    cluster.fresh("m3")
    # The inventory has forgotten the dead one.
    address, key = str(cluster.hosts["m3"].address), str(cluster.where.client_key)
    code, told = cluster.change("add-master", address, "--name", "m3", "--user", "ops", "--key", key)
    assert code == 0, json.dumps(told)


def test_a_dead_master_is_replaced_as_one_plan(left: Left) -> None:
    cluster = left.cluster
    assert voters(cluster) == {"m1", "m2", "m3"}
    cluster.hosts["m3"].kill()
    wait_until(lambda: not _ready(cluster, "m3"), "the node of m3 is not Ready", timeout=90)
    with writing(cluster.where, f"healed-{secrets.token_hex(3)}") as written:
        code, envelope = cluster.change("replace-master", "m3", "m4", "--dead")
    assert (code, envelope["data"]["removed"], envelope["data"]["added"]) == (0, ["m3"], ["m4"]), envelope
    assert written.clean, written.told
    assert voters(cluster) == {"m1", "m2", "m4"}
    assert equal(envelope), envelope["data"]["measures"]["sets"]
    assert set(cluster.nodes()) == {"m1", "m2", "m4"}
    assert "still holds" in envelope["data"]["later"]["m3"]


def _ready(cluster: Cluster, name: str) -> bool:
    conditions = cluster.nodes()[name]["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
