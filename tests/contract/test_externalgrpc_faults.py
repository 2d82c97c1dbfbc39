"""What comes between an autoscaler and its provider: each other, cut connections, kills, a cluster that is not seen."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from scaler.gateways.process import run
from tests.clients.externalgrpc import Autoscaler, KubeNode
from tests.servers.autoscaled import POOLS, Served
from tests.servers.autoscaler import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers.kubernetes import ApiServer

pytestmark = pytest.mark.cloud
Code = grpc.StatusCode
MANY = {"web": {**POOLS["web"], "max": 9}, "batch": {"min": 0}}
STANDBY = {**{f"s{n}": "web" for n in range(1, 9)}, **{f"b{n}": "batch" for n in range(1, 4)}}


@pytest.fixture
def served(api_server: ApiServer, tmp_path: Path) -> Iterator[Served]:
    with Served(api_server, tmp_path, pools=MANY, standby=STANDBY) as made:
        yield made
    assert not made.overlaps()


def ended(call: Callable[..., object], *args: object) -> grpc.StatusCode:
    """Return how a call ended."""
    try:
        call(*args)
    except grpc.RpcError as e:
        code: grpc.StatusCode = e.code()
        return code
    return Code.OK


def ids(autoscaler: Autoscaler, group: str = "web") -> list[str]:
    return sorted(one.id for one in autoscaler.instances(group) if one.state != "deleting")


def all_running(autoscaler: Autoscaler, count: int, group: str = "web") -> Callable[[], bool]:
    return lambda: [one.state for one in autoscaler.instances(group)] == ["running"] * count


def answers(autoscaler: Autoscaler) -> Callable[[], bool]:
    return lambda: ended(autoscaler.refresh) is Code.OK


def test_many_at_once_never_go_beyond_max_nor_take_a_host_twice(served: Served) -> None:
    served.hold()
    clients = [served.autoscaler() for _ in range(12)]
    ready = threading.Barrier(len(clients))
    sizes: list[int] = []
    over = threading.Event()

    def increase(client: Autoscaler) -> grpc.StatusCode:
        client.target("web")
        ready.wait(timeout=60)
        return ended(client.increase, "web", 1)

    def watch() -> None:
        with served.autoscaler() as watcher:
            while not over.is_set():
                sizes.append(watcher.target("web"))

    with ThreadPoolExecutor(len(clients) + 1) as pool:
        watching = pool.submit(watch)
        codes = list(pool.map(increase, clients))
        over.set()
        watching.result()
    assert codes.count(Code.OK) == 8
    assert codes.count(Code.OUT_OF_RANGE) == 4
    assert sizes == sorted(sizes)
    assert max(sizes) <= 9
    with served.autoscaler() as autoscaler:
        assert autoscaler.target("web") == 9
        assert len(set(ids(autoscaler))) == 9
        served.release()
        served.until(all_running(autoscaler, 9))
    assert sorted(served.given()) == [f"s{n}" for n in range(1, 9)]
    for client in clients:
        client.channel.close()


@pytest.mark.long
def test_increases_and_deletions_of_two_groups_at_once_end_where_they_add_up(served: Served) -> None:
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 4)
        autoscaler.increase("batch", 2)
        served.until(all_running(autoscaler, 5))
        served.until(all_running(autoscaler, 2, "batch"))
        web = [one for one in served.nodes() if one.name.startswith("s")]
        batch = [one for one in served.nodes() if one.name.startswith("b")]

        def change(number: int) -> grpc.StatusCode:
            with served.autoscaler() as one:
                todo: list[Callable[[], None]] = [
                    lambda: one.increase("web", 2),
                    lambda: one.delete("web", web[:2]),
                    lambda: one.delete("web", web[1:3]),
                    lambda: one.delete("batch", batch),
                    lambda: one.increase("batch", 1),
                ]
                return ended(todo[number])

        with ThreadPoolExecutor(5) as pool:
            codes = list(pool.map(change, range(5)))
        assert codes[0] is Code.OK
        assert codes[1] is Code.OK or codes[2] is Code.OK
        served.until(lambda: all(one.state == "running" for one in autoscaler.instances("web")))
        served.until(lambda: all(one.state == "running" for one in autoscaler.instances("batch")))
        for group, prefix in (("web", ("w", "s")), ("batch", ("b",))):
            there = {name for name in served.group("workers") if name.startswith(prefix)}
            assert {one.rpartition("/")[2] for one in ids(autoscaler, group)} == there
            assert autoscaler.target(group) == len(there)
    gone = {one.name for one in web[:3] if one.name not in served.group("workers")}
    assert len(gone) >= 2


class Wire:
    """A wire to the server that can be cut once it has carried something from it."""

    def __init__(self, port: int) -> None:
        self._there, self.port = port, free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.cut_on_answer = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            pair = here, socket.create_connection(("127.0.0.1", self._there))
            self._pairs.append(pair)
            threading.Thread(target=self._carry, args=pair, daemon=True).start()
            threading.Thread(target=self._carry, args=pair[::-1], kwargs={"answers": True}, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, *, answers: bool = False) -> None:
        try:
            while data := source.recv(65536):
                if answers and self.cut_on_answer:
                    break
                target.sendall(data)
        except OSError:
            pass
        self._close(source, target)

    @staticmethod
    def _close(*pair: socket.socket) -> None:
        for one in pair:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.close()
        for pair in self._pairs:
            self._close(*pair)


@contextmanager
def wire(port: int) -> Iterator[Wire]:
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()


def test_a_call_whose_answer_is_lost_has_been_done_once_or_not_at_all(served: Served) -> None:
    served.hold()
    with wire(served.port) as cable, served.autoscaler(port=cable.port) as far, served.autoscaler() as near:
        assert far.target("web") == 1
        cable.cut_on_answer = True
        assert ended(far.increase, "web", 2) is Code.UNAVAILABLE
        cable.cut_on_answer = False
        served.until(answers(far))
        assert far.target("web") == near.target("web") == len(ids(near))
        assert near.target("web") in {1, 3}
        # The autoscaler reads the size and asks for what is missing.
        if missing := 3 - far.target("web"):
            far.increase("web", missing)
        served.release()
        served.until(all_running(near, 3))
    assert len(served.given()) == len(set(served.given())) == 2


@pytest.mark.long
def test_a_caller_that_goes_away_leaves_a_server_that_goes_on(served: Served) -> None:
    served.hold()
    with served.autoscaler() as near:
        for _ in range(3):
            far = served.autoscaler()
            call = far.calls.begin("NodeGroupIncreaseSize", id="web", delta=1)
            call.cancel()
            far.channel.close()
        served.until(answers(near))
        size = near.target("web")
        assert 1 <= size <= 4
        served.release()
        served.until(all_running(near, near.target("web")))
        assert len(set(served.given())) == len(served.given()) == near.target("web") - 1


def test_killed_in_the_middle_of_an_increase_it_goes_on(served: Served) -> None:
    served.hold()
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 2)
        served.until(served.runs)
        autoscaler.increase("web", 1)
        before = ids(autoscaler)
        served.kill()
        assert ended(autoscaler.refresh) is Code.UNAVAILABLE
        served.start()
        served.until(answers(autoscaler))
        assert autoscaler.target("web") == 4
        assert ids(autoscaler) == before
        served.release()
        served.until(all_running(autoscaler, 4))
        assert ids(autoscaler) == before
    assert set(served.given()) == {name.rpartition("/")[2] for name in before} - {"w1"}
    assert served.group("workers") == {name.rpartition("/")[2] for name in before}


@pytest.mark.long
def test_killed_in_the_middle_of_a_deletion_it_goes_on(served: Served) -> None:
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 2)
        served.until(all_running(autoscaler, 3))
        served.until(served.all_known)
        served.hold()
        gone = [one for one in served.nodes() if one.name.startswith("s")]
        autoscaler.delete("web", gone)
        served.until(lambda: len(served.runs()) > 1)
        served.kill()
        served.start()
        served.until(answers(autoscaler))
        assert autoscaler.target("web") == 1
        served.release()
        served.until(all_running(autoscaler, 1))
    assert {one.name for one in gone} < served.group("standby")
    assert served.group("workers") == {"w1"}


def test_what_was_answered_with_yes_outlives_a_kill(served: Served) -> None:
    served.hold()
    agreed = threading.Semaphore(0)

    def increase(client: Autoscaler) -> grpc.StatusCode:
        code = ended(client.increase, "web", 1)
        if code is Code.OK:
            agreed.release()
        return code

    clients = [served.autoscaler() for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        calls = [pool.submit(increase, client) for client in clients]
        for _ in range(2):
            assert agreed.acquire(timeout=30)
        served.kill()
        yes = [call.result() for call in calls].count(Code.OK)
    for client in clients:
        client.channel.close()
    served.start()
    with served.autoscaler() as autoscaler:
        size = autoscaler.target("web")
        assert 1 + yes <= size <= 1 + len(clients)
        assert len(set(ids(autoscaler))) == size
        served.release()
        served.until(all_running(autoscaler, size))
    assert len(served.group("workers")) == size


@pytest.mark.long
def test_asked_to_end_it_ends_in_order_and_goes_on_later(served: Served) -> None:
    served.hold()
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 1)
        served.until(served.runs)
        assert served.stop() == 0
        served.release()
        served.start()
        served.until(answers(autoscaler))
        assert autoscaler.target("web") == 2
        served.until(all_running(autoscaler, 2))


def test_one_cluster_has_one_server(served: Served) -> None:
    done = run(
        served.command("--listen", f"127.0.0.1:{free_port()}", *served.secured),
        cwd=served.home,
        env=served.environment,
        check=False,
        timeout=60,
    )
    assert done.status == 6


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--insecure-loopback", "--listen", "0.0.0.0:{port}"],
        ["--cert", "server.crt", "--key", "server.key"],
        ["--cert", "ca.crt", "--key", "server.key", "--client-ca", "ca.crt"],
        ["--cert", "nothing.crt", "--key", "server.key", "--client-ca", "ca.crt"],
        ["--cert", "server.crt", "--key", "server.key", "--client-ca", "server.key"],
    ],
    ids=["nothing", "everywhere", "no-ca", "not-the-keys", "missing", "no-certificate"],
)
def test_without_certificates_it_does_not_start(api_server: ApiServer, tmp_path: Path, options: list[str]) -> None:
    made = Served(api_server, tmp_path)
    argv = [option.format(port=free_port()) for option in options]
    done = run(made.command(*argv), cwd=tmp_path, env=made.environment, check=False, timeout=60)
    assert done.status == 3
    assert done.err.strip()


def test_on_loopback_it_may_be_tried_without_certificates(api_server: ApiServer, tmp_path: Path) -> None:
    made = Served(api_server, tmp_path)
    made.start(["--insecure-loopback"])
    with made.in_plain_text() as autoscaler:
        assert autoscaler.look(made.nodes()).targets["web"] == 1
    assert made.stop() == 0


def test_while_the_cluster_was_never_seen_nothing_is_answered(api_server: ApiServer, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.kubeconfig"
    text = api_server.kubeconfig.read_text()
    nowhere.write_text(text.replace(api_server.url, f"https://127.0.0.1:{free_port()}"))
    made = Served(api_server, tmp_path, kubeconfig=nowhere)
    made.spawn()
    with made.autoscaler() as autoscaler:
        made.until(made.alive)
        assert not made.ready()
        for call in (autoscaler.groups, lambda: autoscaler.increase("web", 1), lambda: autoscaler.instances("web")):
            assert ended(call) is Code.UNAVAILABLE
        nowhere.write_text(text)
        made.until(made.ready)
        assert autoscaler.look(made.nodes()).targets["web"] == 1
    assert made.stop() == 0
    assert not made.runs()


def test_a_machine_is_deleted_once_by_many(served: Served) -> None:
    with served.autoscaler() as autoscaler:
        autoscaler.increase("web", 2)
        served.until(all_running(autoscaler, 3))
        served.until(served.all_known)
        served.hold()
        one, other = [node for node in served.nodes() if node.name.startswith("s")]

        def delete(_: int) -> grpc.StatusCode:
            with served.autoscaler() as client:
                return ended(client.delete, "web", [KubeNode(one.name, one.provider_id)])

        with ThreadPoolExecutor(6) as pool:
            codes = list(pool.map(delete, range(6)))
        assert Code.OK in codes
        assert autoscaler.target("web") == 2
        served.release()
        served.until(all_running(autoscaler, 2))
    assert served.group("workers") == {"w1", other.name}
    assert [run["hosts"] for run in served.runs() if run["verb"] == "remove-node"] == [[one.name]]
