from __future__ import annotations

import subprocess

import pytest

from scaler.checks import join
from scaler.checks.join import Facts, JoinCheck, Peer, Target
from scaler.errors import InputError

OWN, PEER = Peer("n1", "10.244.1.2"), Peer("w1", "10.244.0.2")
TARGET = Target(OWN, "10.96.0.99", (PEER,))
ALONE = Target(OWN, "10.96.0.99")
NODE, ITS_PEER = join.lines(join.checks(), "node"), join.lines(join.checks(), "peer")


def failures(of: tuple[JoinCheck, ...], printed: str, target: Target = TARGET) -> list[str]:
    return [f"{r.check}: {r.reason}" for r in join.results(of, printed, target) if r.outcome == "failed"]


def test_the_checks_of_a_node_run_there_and_those_of_the_peer_there() -> None:
    node, peer = join.script(NODE, TARGET), join.script(ITS_PEER, TARGET)
    assert "10.96.0.99" in node
    assert "10.244.0.2" in node
    assert "10.244.1.2" in peer
    assert "10.96.0.99" not in peer


def test_without_a_peer_there_is_nothing_to_ask_it() -> None:
    assert join.script(ITS_PEER, ALONE) == "true"
    assert "reaches-old-node" not in join.script(NODE, ALONE)
    told = join.results(ITS_PEER, "", ALONE)
    assert [(r.outcome, r.reason) for r in told] == [("not there", "no other Ready node to talk to")]


def test_what_holds_is_no_failure() -> None:
    assert failures(NODE, "exec-answers\t0\t\nreaches-old-node\t0\t\nservice-answers\t0\t\n") == []


def test_what_does_not_hold_is_told_with_its_reason() -> None:
    printed = "exec-answers\t0\t\nreaches-old-node\t1\tnothing came\nservice-answers\t0\t\n"
    assert failures(NODE, printed) == ["reaches-old-node: nothing came"]


def test_what_a_line_says_is_not_there_is_told_so() -> None:
    told = join.results(NODE[:1], "exec-answers\t3\tno shell\t1.0\t2.5\n", TARGET)
    assert [(r.outcome, r.reason, r.seconds) for r in told] == [("not there", "no shell", 1.5)]


def test_a_check_without_a_result_has_failed() -> None:
    assert "service-answers: no result" in failures(NODE, "exec-answers\t0\t\n")


def test_a_script_says_each_checks_status_reason_and_times() -> None:
    nowhere = Target(OWN, "127.0.0.1", (Peer("w1", "127.0.0.1"),))
    script = join.script(NODE, nowhere).replace("+ 15)", "+ 1)")
    # No nc answers: whatever is installed here, a function stands in for it.
    done = subprocess.run(["sh", "-c", f"nc() {{ true; }}\n{script}"], capture_output=True, text=True, check=True)
    assert [line.split(":")[0] for line in failures(NODE, done.stdout)] == ["reaches-old-node", "service-answers"]
    told = {r.check: r for r in join.results(NODE, done.stdout, nowhere)}
    assert "sent 0 of 65536 bytes" in told["service-answers"].reason
    assert told["service-answers"].seconds > 0


def test_a_whole_body_satisfies_a_fetch() -> None:
    line = join.fetch("127.0.0.1", "the pod")
    done = subprocess.run(
        ["sh", "-c", f"nc() {{ head -c {join.BODY_BYTES} /dev/zero; }}\n{line}"], capture_output=True, check=False
    )
    assert done.returncode == 0


def test_a_join_is_proven_by_few_checks_and_a_verification_by_all() -> None:
    quick = {check.name for check in join.checks()}
    assert quick == {"exec-answers", "logs-answer", "reached-from-old-node", "reaches-old-node", "service-answers"}
    assert quick < {check.name for check in join.checks(full=True)}


def test_checks_are_chosen_by_name_by_group_and_as_those_of_a_join() -> None:
    assert [check.name for check in join.chosen(["volumes"])] == ["volumes"]
    assert {check.group for check in join.chosen(["services", "dns"])} == {"services", "dns"}
    assert join.chosen(["join"]) == join.checks()
    assert {check.name for check in join.chosen(["join"], ["access"])} == {
        "reached-from-old-node",
        "reaches-old-node",
        "service-answers",
    }


def test_a_check_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InputError, match="there is no check full-moon") as refused:
        join.chosen(["volumes"], ["full-moon"])
    assert "full-mtu" in refused.value.hint


def test_a_name_is_asked_for_until_it_is_told_or_time_is_over() -> None:
    answer = "Server: 10.96.0.10\\nAddress: 10.96.0.10:53\\n\\nName: web\\nAddress: 10.1.2.3\\n"
    nslookup = f"nslookup() {{ printf '{answer}'; }}\n"

    def looked(line: str) -> subprocess.CompletedProcess[str]:
        line = line.replace(f"+ {join.DNS_SECONDS}", "+ 0")
        return subprocess.run(["sh", "-c", nslookup + line], capture_output=True, text=True, check=False)

    assert looked(join.resolves("web", "10.1.2.3")).returncode == 0
    assert looked(join.resolves("web")).returncode == 0
    # The server's own address is no answer.
    for other in ("10.96.0.10", "10.1.2.33"):
        done = looked(join.resolves("web", other))
        assert (done.returncode, f"web is not told as {other}" in done.stdout) == (1, True)


def test_without_dns_its_checks_say_so() -> None:
    for check in join.chosen(["dns", "external-name"]):
        if isinstance(check, JoinCheck):
            line = check.line(TARGET._replace(facts=Facts(version="1.20.2")))
            assert line == join.NO_DNS


def test_one_client_that_comes_to_two_pods_has_no_affinity() -> None:
    (check,) = join.chosen(["session-affinity"])
    assert isinstance(check, JoinCheck)
    line = check.line(TARGET._replace(affine_ip="10.96.0.7"))
    same = "nc() { echo main-0; }\n"
    other = "nc() { echo x >> $F; echo main-$(($(wc -l < $F) % 2)); }\nF=$(mktemp)\n"
    for how, status in ((same, 0), (other, 1)):
        assert subprocess.run(["sh", "-c", f"{how}{line}"], capture_output=True, check=False).returncode == status
