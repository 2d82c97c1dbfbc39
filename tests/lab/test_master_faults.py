"""What goes wrong while a master is added leaves the cluster as it was, fails no write, and a second try succeeds.

Those that begin with three masters come first, since growing leaves them, then those with one and with two: a master
more takes minutes. Each begins by asking for what it needs.
"""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from scaler.gateways.process import run
from scaler.lab.tools import wait_until
from scaler.pki.certificates import SERVER, Pair, Subject, issue
from tests.lab.conftest import FRONTED, Cluster
from tests.lab.masters import ETCDCTL, Masters, equal, etcdctl, heard, holds_vip, members, voters
from tests.lab.writing import SELDOM, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scaler.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.alone]

MIB = 1 << 20


@pytest.fixture(scope="module")
def masters(fronted: Cluster) -> Masters:
    return Masters(fronted)


@pytest.fixture(autouse=True)
def _mended(masters: Masters) -> Iterator[None]:
    variables = masters.cluster.variables.read_bytes()
    yield
    masters.cluster.variables.write_bytes(variables)
    for host in masters.cluster.hosts.values():
        host.power_on()


def drop_in(host: Host, unit: str, text: str) -> Callable[[], None]:
    """Give ``unit`` of ``host`` a drop-in; return what takes it away."""
    place = f"/etc/systemd/system/{unit}.d"
    host.exec(["mkdir", "-p", place])
    host.exec(["tee", f"{place}/broken.conf"], stdin=f"[Service]\n{text}\n")
    host.exec(["systemctl", "daemon-reload"])

    def mend() -> None:
        host.exec(["rm", "-r", place])
        host.exec(["systemctl", "daemon-reload"])

    return mend


def set_variable(cluster: Cluster, line: str) -> None:
    name = line.partition(":")[0]
    kept_lines = [old for old in cluster.variables.read_text().splitlines() if not old.startswith(f"{name}:")]
    cluster.variables.write_text("\n".join([*kept_lines, line, ""]))


def must_have_written(written: Any) -> None:
    assert not written.told["failures"], written.told
    assert not written.told["lost"], written.told


def refused(
    masters: Masters, host: str, mend: Callable[[], None], *, code: int, says: str, more: tuple[str, ...] = ()
) -> None:
    """Try with the fault there, hold that nothing is changed, mend it; the same command goes through again."""
    cluster = masters.cluster
    with writing(cluster.where, f"fault-{secrets.token_hex(3)}", every=SELDOM) as written, masters.unchanged():
        got, envelope = cluster.change("add-master", host, *more)
        assert got == code, envelope
        assert says in envelope["error"]["message"], envelope["error"]
    must_have_written(written)
    mend()
    goes_through(cluster, "add-master", host, *more)


def goes_through(cluster: Cluster, *argv: str) -> None:
    """Hold that nothing refuses the command any more, as it did not before the fault."""
    done = cluster.scaler(*argv, "--plan", "--cluster", FRONTED)
    assert done.status == 0, done.err


def _none(_: object) -> None:
    return None


def _serves(balancer: Host) -> bool:
    return balancer.exec(["systemctl", "is-active", "--quiet", "haproxy"], check=False).status == 0


@contextmanager
def slow(host: Host, rate: str) -> Iterator[None]:
    """Let no more than ``rate`` come to ``host`` over its cable."""
    link = host.lab.link(host.spec)
    run(["tc", "qdisc", "add", "dev", link, "root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms"])
    try:
        yield
    finally:
        run(["tc", "qdisc", "del", "dev", link, "root"])


@contextmanager
def much(cluster: Cluster) -> Iterator[None]:
    """Let etcd have sixteen MiB more, each a new entry of its log."""
    for number in range(16):
        cluster.hosts["m1"].exec([*ETCDCTL, "put", f"junk/{number}"], stdin=secrets.token_hex(MIB // 2))
    try:
        yield
    finally:
        etcdctl(cluster, "del", "--prefix", "junk/")


def settled(cluster: Cluster) -> None:
    """Wait until each API server has answered two writes on end: what the fault itself cut off is over."""

    def answered() -> bool:
        writes = ("kubectl", "--cluster", FRONTED, "--", "annotate", "--overwrite", "namespace", "default")
        return all(cluster.scaler(*writes, f"settled={number}").status == 0 for number in range(6))

    wait_until(answered, "the API servers write again", timeout=60)


@contextmanager
def stopped(cluster: Cluster, name: str) -> Iterator[None]:
    """Let a voter be down, once the cluster has got over it."""
    cluster.hosts[name].exec(["systemctl", "stop", "etcd.service"])
    try:
        settled(cluster)
        yield
    finally:
        cluster.hosts[name].exec(["systemctl", "start", "etcd.service"])


# With three masters.


def test_with_one_voter_down_an_add_is_refused_with_the_arithmetic(masters: Masters) -> None:
    masters.at(3)
    cluster = masters.cluster
    prefix = f"down-{secrets.token_hex(3)}"
    with stopped(cluster, "m3"), writing(cluster.where, prefix, every=SELDOM) as written, masters.unchanged():
        code, envelope = cluster.change("add-master", "m4", "--allow-even")
    must_have_written(written)
    assert code == 5, envelope
    assert "2 of 3 voters are healthy, quorum is 2 (m3 is not)" in envelope["error"]["message"]


@pytest.mark.long
def test_the_voter_that_is_down_may_leave_and_no_other(masters: Masters) -> None:
    masters.at(3)
    cluster = masters.cluster
    leaves = ("--cluster", FRONTED, "--allow-even", "--plan", "--output", "json")
    with stopped(cluster, "m3"):
        well, sick = (cluster.scaler("remove-master", name, *leaves) for name in ("m2", "m3"))
    assert (well.status, sick.status) == (5, 0), (well, sick)
    assert "1 of 2 voters are healthy, quorum is 2: no quorum" in json.loads(well.out)["error"]["message"]


def test_an_etcd_that_has_no_leader_for_half_a_minute_is_refused(masters: Masters) -> None:
    masters.at(3)
    cluster = masters.cluster
    silent = [cluster.hosts[name] for name in ("m2", "m3")]
    for host in silent:
        host.exec(["systemctl", "kill", "--signal=STOP", "etcd.service"])
    try:
        code, envelope = cluster.change("add-master", "m4", "--allow-even")
    finally:
        for host in silent:
            host.exec(["systemctl", "kill", "--signal=CONT", "etcd.service"])
    settled(cluster)
    assert code == 5, json.dumps(envelope)
    assert "etcd does not stand firm" in envelope["error"]["message"], json.dumps(envelope)
    assert not (envelope.get("data") or {}).get("run"), envelope
    assert voters(cluster) == {"m1", "m2", "m3"}
    goes_through(cluster, "add-master", "m4", "--allow-even")


def test_a_leader_that_dies_during_the_sync_does_not_stop_it(masters: Masters) -> None:
    masters.at(3)
    cluster = masters.cluster
    new = cluster.hosts["m4"]
    with writing(cluster.where, f"leader-{secrets.token_hex(3)}", every=SELDOM) as written:
        argv = ("add-master", "m4", "--allow-even", "--cluster", FRONTED, "--yes", "--output", "jsonl")
        process = cluster.start(*argv)
        heard(process, "step-intent", "learner_caught_up")
        new.exec(["systemctl", "kill", "--signal=STOP", "etcd.service"])
        leader = etcdctl(cluster, "endpoint", "status")[0]["Status"]["leader"]
        name = next(name for name, member in members(cluster).items() if member["ID"] == leader)
        cluster.hosts[name].exec(["systemctl", "kill", "--signal=KILL", "etcd.service"])
        wait_until(lambda: _leader(cluster, name) not in {0, leader}, "another leads", timeout=30)
        new.exec(["systemctl", "kill", "--signal=CONT", "etcd.service"])
        ended = [json.loads(line) for line in process.stdout or ()]
        assert process.wait(timeout=300) == 0, ended[-1]
    assert voters(cluster) == {"m1", "m2", "m3", "m4"}
    # The writes that were under way through the dead leader may fail: that is the fault's own doing.
    assert not written.told["lost"], written.told
    assert len(written.told["failures"]) <= 2, written.told


@pytest.mark.long
def test_a_master_that_dies_between_its_promotion_and_its_api_server_is_finished_by_the_same_command(
    masters: Masters,
) -> None:
    masters.at(3)
    cluster = masters.cluster
    before = {name: cluster.tree(name) for name in ("lb1", "lb2")}
    with writing(cluster.where, f"dies-{secrets.token_hex(3)}", every=SELDOM) as written:
        argv = ("add-master", "m4", "--allow-even", "--cluster", FRONTED, "--yes", "--output", "jsonl")
        process = cluster.start(*argv)
        heard(process, "step-intent", "control_plane_started")
        cluster.hosts["m4"].kill()
        ended = [json.loads(line) for line in process.stdout or ()][-1]
        assert process.wait(timeout=300) == 9, ended
        assert "a voter is never taken out by itself" in ended["data"]["left"]["m4"], ended
        assert voters(cluster) == {"m1", "m2", "m3", "m4"}
        assert {name: cluster.tree(name) for name in ("lb1", "lb2")} == before
        cluster.hosts["m4"].power_on()
        code, envelope = cluster.change("add-master", "m4", "--allow-even")
        assert (code, equal(envelope)) == (0, True), envelope
    must_have_written(written)


# With one.


def test_an_even_end_needs_to_be_wanted(masters: Masters) -> None:
    masters.at(1)
    with masters.unchanged():
        code, envelope = masters.cluster.change("add-master", "m2")
    assert code == 5
    assert "2 voters (quorum 2) stand 0 failures" in envelope["error"]["message"]


@pytest.mark.long
def test_the_second_of_two_voters_that_dies_before_its_api_server_is_there_is_finished_by_the_same_command(
    masters: Masters,
) -> None:
    masters.at(1)
    cluster = masters.cluster
    process = cluster.start("add-master", "m2", "--allow-even", "--cluster", FRONTED, "--yes", "--output", "jsonl")
    heard(process, "step-intent", "control_plane_started")
    cluster.hosts["m2"].kill()
    ended = [json.loads(line) for line in process.stdout or ()][-1]
    assert process.wait(timeout=600) == 9, ended
    # Of two voters both must live: nothing is written until it is back, and nobody takes a voter out.
    assert "a voter is never taken out by itself" in ended["data"]["left"]["m2"], ended
    cluster.hosts["m2"].power_on()
    settled(cluster)
    code, envelope = cluster.change("add-master", "m2", "--allow-even")
    assert (code, equal(envelope)) == (0, True), envelope
    assert voters(cluster) == {"m1", "m2"}


# What preflight sees: nothing has begun, so what is shown after mending is that the same command goes through again.


def unreachable_balancer(cluster: Cluster) -> Callable[[], None]:
    cluster.hosts["lb2"].kill()
    return cluster.hosts["lb2"].power_on


def stale_data(cluster: Cluster) -> Callable[[], None]:
    cluster.hosts["m2"].exec(["mkdir", "-p", "/var/lib/etcd/data/member"])
    return lambda: _none(cluster.hosts["m2"].exec(["rm", "-r", "/var/lib/etcd/data"]))


def foreign_learner(cluster: Cluster) -> Callable[[], None]:
    nobody = cluster.hosts["m1"].subnet[250]
    told = etcdctl(cluster, "member", "add", "stranger", "--learner", f"--peer-urls=https://{nobody}:2380")
    return lambda: _none(etcdctl(cluster, "member", "remove", f"{told['member']['ID']:x}"))


def missing_name(cluster: Cluster) -> Callable[[], None]:
    pki = cluster.where.inventory / "pki"
    authority = Pair((pki / "ca.crt").read_bytes(), (pki / "ca.key").read_bytes())
    only = Subject("kube-apiserver", dns=("m2",), addresses=(str(cluster.hosts["m2"].address),))
    pair = issue(authority, only, [SERVER], datetime.now(UTC))
    ready = pki / "hosts" / "m2"
    ready.mkdir(parents=True)
    (ready / "apiserver.crt").write_bytes(pair.certificate)
    (ready / "apiserver.key").write_bytes(pair.key)
    (ready / "apiserver.key").chmod(0o600)
    return lambda: shutil.rmtree(pki / "hosts")


def busy_port(cluster: Cluster) -> Callable[[], None]:
    host = cluster.hosts["m2"]
    host.exec(["systemd-run", "--unit=squatter", "socat", "TCP-LISTEN:2380,fork,reuseaddr", "EXEC:true"])
    wait_until(lambda: "2380" in host.exec(["ss", "-tln"]).out, "the port is taken", timeout=10)
    return lambda: _none(host.exec(["systemctl", "stop", "squatter"]))


def another_clusters_host(cluster: Cluster) -> Callable[[], None]:
    cluster.hosts["m2"].exec(["mkdir", "-p", "/etc/kubernetes/pki"])
    cluster.hosts["m2"].exec(["tee", "/etc/kubernetes/pki/ca.crt"], stdin="another\n")
    return lambda: _none(cluster.hosts["m2"].exec(["rm", "-r", "/etc/kubernetes"]))


REFUSED = {
    "unreachable balancer": (unreachable_balancer, 7, "lb2"),
    "stale data": (stale_data, 4, "/var/lib/etcd"),
    "foreign learner": (foreign_learner, 5, "a learner that no run of scaler's added is there"),
    "missing name": (missing_name, 3, "does not carry"),
    "busy port": (busy_port, 4, "port 2380 (etcd's members) is taken by socat"),
    "another cluster's host": (another_clusters_host, 4, "belongs to another cluster"),
}


@pytest.mark.parametrize("fault", sorted(REFUSED))
def test_it_is_refused_before_anything_is_touched(masters: Masters, fault: str) -> None:
    masters.at(1)
    cluster = masters.cluster
    act, code, says = REFUSED[fault]
    with writing(cluster.where, f"refused-{secrets.token_hex(3)}", every=SELDOM) as written:
        mend = act(cluster)
        try:
            with masters.unchanged():
                got, envelope = cluster.change("add-master", "m2", "--allow-even")
        finally:
            mend()
        assert got == code, envelope
        assert says in envelope["error"]["message"], envelope["error"]
        goes_through(cluster, "add-master", "m2", "--allow-even")
    must_have_written(written)


SPEAKER = """
import socket, struct, time
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("ADDRESS"))
while True:
    raw.sendto(struct.pack("!BBBBHH", 0x31, 117, 100, 0, 100, 0), ("224.0.0.18", 0))
    time.sleep(0.5)
"""


def test_a_router_id_that_somebody_else_speaks_for_is_refused(masters: Masters) -> None:
    masters.at(1)
    cluster = masters.cluster
    other = cluster.hosts["m4"]
    script = SPEAKER.replace("ADDRESS", str(other.address))
    other.exec(["systemd-run", "--unit=speaker", "python3", "-c", script])
    try:
        with masters.unchanged():
            done = cluster.scaler("init", "--cluster", FRONTED, "--plan", "--output", "json")
    finally:
        other.exec(["systemctl", "stop", "speaker"])
    assert done.status == 4, done.out
    assert f"hears {other.address} speak for VRRP router id 117" in done.out
    assert cluster.scaler("init", "--cluster", FRONTED, "--plan").status == 0


def test_an_alarm_of_etcd_refuses_the_change(masters: Masters) -> None:
    masters.at(1)
    cluster = masters.cluster
    try:
        # Its database is larger than this, so the next write raises the alarm.
        with etcd_configured(cluster.hosts["m1"], "quota-backend-bytes: 100000"):
            wait_until(lambda: "alarms" in _alarms(cluster), "etcd raises the alarm", timeout=60)
            # m1's controllers end by themselves, since no lease can be renewed.
            with masters.unchanged(but=("m1",)):
                code, envelope = cluster.change("add-master", "m2", "--allow-even")
    finally:
        disarm(cluster)
    assert code == 5, envelope
    assert "etcd has an alarm: NOSPACE of m1" in envelope["error"]["message"]
    again = ("add-master", "m2", "--allow-even", "--plan", "--cluster", FRONTED)
    wait_until(lambda: cluster.scaler(*again).status == 0, "the same command goes through", timeout=60)


def _raise_corrupt(cluster: Cluster) -> None:
    member = str(members(cluster)["m1"]["ID"])
    asked = {"action": "ACTIVATE", "memberID": member, "alarm": "CORRUPT"}
    with etcd_configured(cluster.hosts["m1"], "enable-grpc-gateway: true"):
        raised = lambda: cluster.hosts["m1"].exec(["python3", "-c", ALARM, json.dumps(asked)], check=False).status == 0  # noqa: E731
        wait_until(raised, "the alarm is raised", timeout=30)


@contextmanager
def etcd_configured(host: Host, line: str) -> Iterator[None]:
    """Let the host's etcd run with one line more in its configuration."""
    path = "/etc/etcd/etcd.yaml"
    before = host.exec(["cat", path]).out
    host.exec(["tee", path], stdin=f"{before}{line}\n")
    host.exec(["systemctl", "restart", "etcd"])
    try:
        yield
    finally:
        host.exec(["tee", path], stdin=before)
        host.exec(["systemctl", "restart", "etcd"])


# What a member does that finds its data corrupt; etcdctl has no verb for it.
ALARM = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="/etc/etcd/pki/ca.crt")
context.load_cert_chain("/etc/etcd/pki/server.crt", "/etc/etcd/pki/server.key")
url = "https://127.0.0.1:2379/v3/maintenance/alarm"
urllib.request.urlopen(urllib.request.Request(url, sys.argv[1].encode()), context=context).read()
"""


@pytest.mark.long
def test_data_that_a_member_calls_corrupt_refuses_the_change(masters: Masters) -> None:
    masters.at(1)
    cluster = masters.cluster
    _raise_corrupt(cluster)
    try:
        # m1's controllers end by themselves, since no lease can be renewed.
        with masters.unchanged(but=("m1",)):
            code, envelope = cluster.change("add-master", "m2", "--allow-even")
    finally:
        disarm(cluster)
    assert code == 5, envelope
    assert "etcd has an alarm: CORRUPT of m1" in envelope["error"]["message"]


def disarm(cluster: Cluster) -> None:
    wait_until(lambda: not etcdctl(cluster, "alarm", "disarm", check=False).get("error"), "disarmed", timeout=30)
    wait_until(lambda: "alarms" not in _alarms(cluster), "no alarm is left", timeout=30)


def _alarms(cluster: Cluster) -> Any:
    return etcdctl(cluster, "alarm", "list", check=False)


@pytest.mark.long
def test_a_learner_that_cannot_start_is_removed_again(masters: Masters) -> None:
    masters.at(1)
    mend = drop_in(masters.cluster.hosts["m2"], "etcd.service", "ExecStartPre=/bin/false")
    refused(masters, "m2", mend, code=9, says="etcd.service does not start", more=("--allow-even",))


def test_a_load_balancer_that_refuses_its_configuration_keeps_the_old_one(masters: Masters) -> None:
    masters.at(1)
    cluster = masters.cluster
    before = cluster.variables.read_bytes()
    set_variable(cluster, "lb_bind: not-an-address:port")
    refused(
        masters,
        "m2",
        lambda: _none(cluster.variables.write_bytes(before)),
        code=9,
        says="is refused by /usr/sbin/haproxy",
        more=("--allow-even",),
    )


@pytest.mark.long
def test_a_load_balancer_that_is_lost_on_the_way_stops_before_the_other_is_told(masters: Masters) -> None:
    masters.at(1)
    cluster = masters.cluster
    (holder,) = (name for name in ("lb1", "lb2") if holds_vip(cluster, name))
    (other,) = {"lb1", "lb2"} - {holder}
    before = cluster.tree(holder), cluster.processes(holder)
    with writing(cluster.where, f"lost-{secrets.token_hex(3)}", every=SELDOM) as written:
        argv = ("add-master", "m2", "--allow-even", "--cluster", FRONTED, "--yes", "--output", "jsonl")
        process = cluster.start(*argv)
        heard(process, "step-intent", "balancers_updated")
        cluster.hosts[other].kill()
        ended = [json.loads(line) for line in process.stdout or ()][-1]
        assert process.wait(timeout=300) == 9, ended
        assert other in ended["data"]["failed"]["m2"], ended
        assert (cluster.tree(holder), cluster.processes(holder)) == before
        cluster.hosts[other].power_on()
        wait_until(lambda: _serves(cluster.hosts[other]), f"{other} serves again", timeout=30)
        code, envelope = cluster.change("add-master", "m2", "--allow-even")
        assert (code, equal(envelope)) == (0, True), envelope
    must_have_written(written)


@pytest.mark.long
def test_a_learner_that_makes_no_progress_is_removed_again(masters: Masters) -> None:
    masters.at(1)
    cluster = masters.cluster
    set_variable(cluster, "etcd_stall_seconds: 6")
    with writing(cluster.where, f"slow-{secrets.token_hex(3)}", every=SELDOM) as written:
        with masters.unchanged():
            argv = ("add-master", "m2", "--allow-even", "--cluster", FRONTED, "--yes", "--output", "jsonl")
            process = cluster.start(*argv)
            heard(process, "step-intent", "learner_caught_up")
            cluster.hosts["m2"].exec(["systemctl", "kill", "--signal=STOP", "etcd.service"])
            ended = [json.loads(line) for line in process.stdout or ()]
            assert process.wait(timeout=300) == 9
            assert "makes no progress for 6 s" in json.dumps(ended[-1])
        code, envelope = cluster.change("add-master", "m2", "--allow-even")
        assert (code, equal(envelope)) == (0, True), envelope
    must_have_written(written)


# With two.


@pytest.mark.parametrize("way", ["to the new host", pytest.param("from the new host", marks=pytest.mark.long)])
def test_a_firewall_that_is_open_one_way_only_is_found_before_etcd_is_touched(masters: Masters, way: str) -> None:
    masters.at(2)
    cluster = masters.cluster
    host = cluster.hosts["m3"]
    chain = "INPUT" if way.startswith("to") else "OUTPUT"
    rule = [chain, "-p", "tcp", "--dport", "2380", "-j", "DROP"]
    host.exec(["iptables", "-I", *rule])
    with writing(cluster.where, f"wall-{secrets.token_hex(3)}", every=SELDOM) as written, masters.unchanged():
        code, envelope = cluster.change("add-master", "m3")
    must_have_written(written)
    host.exec(["iptables", "-D", *rule])
    assert code == 9, envelope
    assert "2380" in envelope["error"]["message"], envelope["error"]
    assert "learner_added" not in envelope["data"]["seconds"], envelope
    goes_through(cluster, "add-master", "m3")


@pytest.mark.long
def test_a_slow_learner_is_waited_for_beyond_the_stall_for_as_long_as_it_makes_progress(masters: Masters) -> None:
    masters.at(2)
    cluster = masters.cluster
    stall = 10
    set_variable(cluster, f"etcd_stall_seconds: {stall}")
    with much(cluster), writing(cluster.where, f"tbf-{secrets.token_hex(3)}", every=SELDOM) as written:
        process = cluster.start("add-master", "m3", "--cluster", FRONTED, "--yes", "--output", "jsonl")
        heard(process, "step-intent", "learner_added")
        # Sixteen MiB at ten Mbit/s take thirteen seconds at least; etcd sends some of them several times, until it has
        # heard that they arrived.
        with slow(cluster.hosts["m3"], "10mbit"):
            heard(process, "step-intent", "member_promoted")
        ended = [json.loads(line) for line in process.stdout or ()][-1]
        assert process.wait(timeout=300) == 0, ended
    seconds = ended["data"]["seconds"]
    assert seconds["learner_started"] + seconds["learner_caught_up"] > stall, ended
    assert equal(ended), ended
    must_have_written(written)


@pytest.mark.long
def test_a_run_that_is_killed_while_a_learner_catches_up_is_resumed_with_that_learner(masters: Masters) -> None:
    masters.at(2)
    cluster = masters.cluster
    with much(cluster), writing(cluster.where, f"kill-{secrets.token_hex(3)}", every=SELDOM) as written:
        process = cluster.start("add-master", "m3", "--cluster", FRONTED, "--yes", "--output", "jsonl")
        heard(process, "step-intent", "learner_added")
        with slow(cluster.hosts["m3"], "20mbit"):
            heard(process, "step-intent", "learner_caught_up")
            process.kill()
            process.wait()
            etcd = [each for each in cluster.processes("m3").items() if each[0].startswith("etcd ")]
            code, envelope = cluster.change("runs", "resume")
        assert (code, equal(envelope)) == (0, True), envelope
        assert len(etcd) == 1
        assert etcd[0] in cluster.processes("m3").items()
    must_have_written(written)


def test_an_api_server_that_is_never_ready_leaves_etcd_and_the_load_balancers_alone(masters: Masters) -> None:
    masters.at(2)
    mend = drop_in(
        masters.cluster.hosts["m3"], "kube-apiserver.service", "ExecStartPost=/bin/sh -c 'kill -STOP $MAINPID'"
    )
    refused(masters, "m3", mend, code=9, says="its API server is not ready")


def _leader(cluster: Cluster, dead: str) -> int:
    on = "m1" if dead != "m1" else "m2"
    told = etcdctl(cluster, "endpoint", "status", on=on, check=False)
    return int(told[0]["Status"].get("leader", 0)) if told else 0
