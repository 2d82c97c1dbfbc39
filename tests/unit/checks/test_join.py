from __future__ import annotations

import subprocess

from scaler.checks import join
from scaler.checks.join import Target

TARGET = Target("n1", "10.244.1.2", "10.96.0.99", "w1", "10.244.0.2")
ALONE = TARGET._replace(peer="", peer_ip="")


def test_the_checks_of_a_node_run_there_and_those_of_the_peer_there() -> None:
    node, peer = join.script("node", TARGET), join.script("peer", TARGET)
    assert "10.96.0.99" in node
    assert "10.244.0.2" in node
    assert "10.244.1.2" in peer
    assert "10.96.0.99" not in peer


def test_without_a_peer_there_is_nothing_to_ask_it() -> None:
    assert join.script("peer", ALONE) == "true"
    assert "reaches-old-node" not in join.script("node", ALONE)
    assert join.failures("", ALONE, "peer") == []


def test_what_holds_is_no_failure() -> None:
    printed = "exec-answers\t0\t\nreaches-old-node\t0\t\nservice-answers\t0\t\n"
    assert join.failures(printed, TARGET, "node") == []


def test_what_does_not_hold_is_told_with_its_reason() -> None:
    printed = "exec-answers\t0\t\nreaches-old-node\t1\tnothing came\nservice-answers\t0\t\n"
    assert join.failures(printed, TARGET, "node") == ["reaches-old-node: nothing came"]


def test_a_check_without_a_result_has_failed() -> None:
    assert "service-answers: no result" in join.failures("exec-answers\t0\t\n", TARGET, "node")


def test_a_script_says_each_checks_status_and_reason() -> None:
    nowhere = TARGET._replace(service_ip="127.0.0.1", peer_ip="127.0.0.1")
    script = join.script("node", nowhere).replace("sleep 0.5", "true")
    # No nc answers: whatever is installed here, a function stands in for it.
    done = subprocess.run(["sh", "-c", f"nc() {{ true; }}\n{script}"], capture_output=True, text=True, check=True)
    failed = join.failures(done.stdout, nowhere, "node")
    assert [line.split(":")[0] for line in failed] == ["reaches-old-node", "service-answers"]
    assert "sent 0 of 65536 bytes" in failed[0]


def test_a_whole_body_satisfies_a_fetch() -> None:
    line = join.fetch("127.0.0.1", "the pod")
    done = subprocess.run(
        ["sh", "-c", f"nc() {{ head -c {join.BODY_BYTES} /dev/zero; }}\n{line}"], capture_output=True, check=False
    )
    assert done.returncode == 0
