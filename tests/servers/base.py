"""What the clouds' servers of the tests share: a listener on loopback, a record, faults, machines that become Nodes.

A server is a subclass of ``CloudServer``: ``answer`` takes a request and returns the cloud's answer, with a real
signature checked and real parameters validated. It keeps its pools in a ``Fleet``. Tests set faults on ``faults`` and
read ``record``; the command line under test is another process and sees only the listener.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One request as it came; ``action`` is what the cloud calls it, told by the server for faults and record."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    at: float
    action: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")


class Answer(NamedTuple):
    """What goes back; ``cut`` closes the connection without a word, after all that the request did was done."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    cut: bool = False


@dataclass
class Faults:
    """What goes wrong next, each so many times; a fault without an action hits the next writes, whatever they are.

    ``throttle``, ``conflict``, ``quota``, ``broken`` (5xx): answered instead of being done. ``cut``: done, then the
    connection breaks. ``cut_before``: it breaks and nothing is done. ``sold_out`` machines are asked for and fail to
    start; ``refuse`` names machines that a removal does not take, the others go.
    """

    sold_out: int = 0
    refuse: set[str] = field(default_factory=set)
    slow_seconds: float = 0.0
    _left: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, fault: str, times: int = 1, action: str = "") -> None:
        """Let ``fault`` come the next ``times`` times."""
        with self._lock:
            self._left[fault, action] = times

    def take(self, fault: str, actions: Sequence[str]) -> bool:
        """Tell whether ``fault`` comes now for any of these, "" for those of no action, and count it."""
        with self._lock:
            for action in actions:
                if self._left[fault, action] > 0:
                    self._left[fault, action] -= 1
                    return True
        return False

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._left.clear()
            self.refuse.clear()
            self.sold_out, self.slow_seconds = 0, 0.0


class Nodes(Protocol):
    """Where machines appear as Nodes."""

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None:
        """Let the Node be there, Ready."""

    def remove(self, name: str) -> None:
        """Let it be gone."""


class ApiNodes:
    """Nodes in a real API server, made and deleted by plain requests with a token."""

    def __init__(self, url: str, token: str, verify: ssl.SSLContext) -> None:
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, verify=verify, trust_env=False, timeout=10
        )

    def add(self, name: str, provider_id: str, labels: dict[str, str], *, ready: bool = True) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels},
            "spec": {"providerID": provider_id},
            "status": {"conditions": [condition], "nodeInfo": _INFO},
        }
        told = self._http.post("/api/v1/nodes", json=node)
        if told.status_code != httpx.codes.CONFLICT:
            told.raise_for_status()

    def remove(self, name: str) -> None:
        told = self._http.delete(f"/api/v1/nodes/{name}")
        if told.status_code != httpx.codes.NOT_FOUND:
            told.raise_for_status()

    def names(self, selector: str = "") -> set[str]:
        told = self._http.get("/api/v1/nodes", params={"labelSelector": selector} if selector else {})
        return {node["metadata"]["name"] for node in told.json()["items"]}

    def closed(self) -> set[str]:
        """Return the Nodes that no pod is to come to."""
        told = self._http.get("/api/v1/nodes", params={"fieldSelector": "spec.unschedulable=true"})
        return {node["metadata"]["name"] for node in told.json()["items"]}

    def autoscaled(self, *groups: str) -> None:
        """Let a Cluster Autoscaler have written its status just now, with these groups."""
        told = "".join(f"- name: {group}\n  health:\n    status: Healthy\n" for group in groups)
        now = time.strftime("%Y-%m-%d %H:%M:%S.190150095 +0000 UTC", time.gmtime())
        metadata = {"name": _STATUS, "annotations": {"cluster-autoscaler.kubernetes.io/last-updated": now}}
        data = {"status": f"time: {now}\nautoscalerStatus: Running\nnodeGroups:\n{told}"}
        status = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        self._http.post(_CONFIG_MAPS, json=status).raise_for_status()

    def clear(self) -> None:
        """Delete all Nodes, the Lease of runs and what an autoscaler wrote, so that the next test finds nothing."""
        self._http.delete("/api/v1/nodes").raise_for_status()
        self._http.delete(f"{_CONFIG_MAPS}/{_STATUS}")
        self._http.delete("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases")


_CONFIG_MAPS, _STATUS = "/api/v1/namespaces/kube-system/configmaps", "cluster-autoscaler-status"
_INFO = dict.fromkeys(
    ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "operatingSystem", "architecture"), "test"
) | {"containerRuntimeVersion": "containerd://1.6.0", "kubeletVersion": "v1.20.2", "kubeProxyVersion": "v1.20.2"}


@dataclass
class Machine:
    """One instance; ``due`` is when it comes to what it is on the way to."""

    id: str
    node: str
    zone: str
    state: str = "starting"
    due: float = 0.0
    reason: str = ""


@dataclass
class FakePool:
    """One pool as a cloud keeps it."""

    id: str
    name: str
    label: str
    value: str
    target: int
    min: int = 0
    max: int = 1000
    autoscaled: bool = False
    zones: tuple[str, ...] = ("a",)
    state: str = "ready"
    version: int = 1
    machines: list[Machine] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def alive(self) -> list[Machine]:
        return [machine for machine in self.machines if machine.state in {"starting", "running"}]

    @property
    def busy(self) -> bool:
        """Tell whether a machine is on its way somewhere."""
        return any(machine.state in {"starting", "leaving"} for machine in self.machines)


class Fleet:
    """All pools of one cloud; time passes when it is looked at, so that tests need no threads of theirs."""

    def __init__(
        self,
        nodes: Nodes,
        faults: Faults,
        provider_id: Callable[[Machine], str],
        *,
        seconds: float = 0.1,
        prefix: str = "i-",
    ) -> None:
        self.pools: dict[str, FakePool] = {}
        self.seconds = seconds
        self.joins = True
        """Whether a machine that runs becomes a Node."""
        self.nodes, self._faults, self._provider_id, self._prefix = nodes, faults, provider_id, prefix
        self._made = 0
        self._ahead = 0.0

    def now(self) -> float:
        """Return the time by which everything comes to its end."""
        return time.monotonic() + self._ahead

    def let_pass(self) -> None:
        """Let a day pass, so that everything that was begun comes to its end now."""
        self._ahead += 86400

    def put(self, pool: FakePool, size: int | None = None) -> FakePool:
        """Let ``pool`` be there with all its machines running, as if it had long been."""
        self.pools[pool.id] = pool
        for _ in range(pool.target if size is None else size):
            self._start(pool).due = 0
        self.settle()
        return pool

    def want(self, pool: FakePool, size: int, *, sold_out: str = "sold out") -> None:
        """Begin to bring ``pool`` to ``size``; the newest leave first, ``faults.sold_out`` of the new ones fail."""
        pool.target, pool.version = size, pool.version + 1
        for _ in range(size - len(pool.alive)):
            machine = self._start(pool)
            if self._faults.sold_out > 0:
                self._faults.sold_out -= 1
                machine.reason = sold_out
        for machine in pool.alive[size:]:
            self.leave(machine)

    def leave(self, machine: Machine) -> None:
        """Begin to end one machine."""
        machine.state, machine.due = "leaving", self.now() + self.seconds

    def delete(self, pool: FakePool) -> None:
        """Begin to delete ``pool`` with its machines."""
        pool.state = "deleting"
        for machine in pool.machines:
            self.leave(machine)

    def machine(self, machine_id: str) -> tuple[FakePool, Machine] | None:
        for pool in self.pools.values():
            for machine in pool.machines:
                if machine.id == machine_id:
                    return pool, machine
        return None

    def settle(self) -> None:
        """Let everything that is due happen."""
        now = self.now()
        for pool in self.pools.values():
            for machine in [m for m in pool.machines if m.state in {"starting", "leaving"} and m.due <= now]:
                self._come_to(pool, machine)
        for pool in [pool for pool in self.pools.values() if pool.state == "deleting" and not pool.machines]:
            del self.pools[pool.id]

    def _come_to(self, pool: FakePool, machine: Machine) -> None:
        if machine.state == "leaving":
            pool.machines.remove(machine)
            self.nodes.remove(machine.node)
        elif machine.reason:
            machine.state = "failed"
        else:
            machine.state = "running"
            if self.joins:
                self.nodes.add(machine.node, self._provider_id(machine), {pool.label: pool.value})

    def _start(self, pool: FakePool) -> Machine:
        self._made += 1
        zone = pool.zones[self._made % len(pool.zones)]
        machine = Machine(
            f"{self._prefix}{self._made:08x}",
            f"{pool.name}-{self._made:04d}",
            zone,
            due=self.now() + self.seconds,
        )
        pool.machines.append(machine)
        return machine


class Provider(Protocol):
    """What the contract suite asks of a module of this package: its ``SERVER``, made from ``Nodes``.

    A ``CloudServer`` with a ``Fleet`` has the most of it. ``sizes`` and ``removals`` are the actions that set a size
    and that end given machines, as the record calls them.
    """

    kind: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]]
    removals: ClassVar[tuple[str, ...]]
    faults: Faults
    fleet: Fleet

    def variables(self) -> dict[str, object]:
        """Return what the inventory says of the cluster, beside what all clusters have."""

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables by which the command line finds this server, and who it is; ``home`` is for files."""

    def stranger(self) -> dict[str, str]:
        """Return variables over those, of somebody whom the cloud does not know."""

    def add_pool(self, name: str, size: int, **more: Any) -> FakePool:
        """Let there be a pool with ``size`` machines that run; ``more`` are fields of ``FakePool``."""

    def size_asked(self, request: Request) -> int:
        """Return the size of the whole pool that a request of ``sizes`` asked for."""

    def removed(self, request: Request) -> list[str]:
        """Return the IDs of the machines that a request of ``removals`` ends."""

    def asked(self, *actions: str) -> list[Request]:
        """Return the requests of these actions, or all, in order."""

    def forget(self) -> None:
        """Begin a new record without faults."""

    def close(self) -> None:
        """End."""


class CloudServer:
    """A cloud on a port of loopback; subclasses answer."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.faults = Faults()
        self.record: list[Request] = []
        self._lock = threading.RLock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body go out in two writes: the second would wait 40 ms for the client's acknowledgement.
            disable_nagle_algorithm = True

            def handle_one(self) -> None:
                server._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one  # noqa: N815 - the names of the library

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as above
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.port = int(self._http.server_address[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def action(self, request: Request) -> str:
        """Return what the cloud calls the request, for faults and the record."""
        return f"{request.method} {request.path}"

    def writes(self, request: Request) -> bool:
        """Tell whether the request changes something; faults without an action hit only these."""
        return request.method not in {"GET", "HEAD"}

    def answer(self, request: Request) -> Answer:
        """Do what the request asks."""
        raise NotImplementedError

    def fault(self, fault: str, request: Request) -> Answer:
        """Return the cloud's own answer for ``throttle``, ``conflict``, ``quota`` or ``broken``."""
        raise NotImplementedError

    def asked(self, *actions: str) -> list[Request]:
        """Return the requests of these actions, or all, in order."""
        with self._lock:
            return [request for request in self.record if not actions or request.action in actions]

    def forget(self) -> None:
        """Begin a new record without faults."""
        with self._lock:
            self.record.clear()
            self.faults.clear()

    def answered(self, request: Request) -> Answer:
        """Return the answer, with the faults that are due."""
        with self._lock:
            self.record.append(request)
            if self.faults.slow_seconds:
                time.sleep(self.faults.slow_seconds)
            for fault in ("throttle", "conflict", "quota", "broken"):
                if self._hit(fault, request):
                    return self.fault(fault, request)
            if self._hit("cut_before", request):
                return Answer(cut=True)
            answer = self.answer(request)
            return answer._replace(cut=True) if self._hit("cut", request) else answer

    def _hit(self, fault: str, request: Request) -> bool:
        return self.faults.take(fault, [request.action, *([""] if self.writes(request) else [])])

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        where = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        query = parse_qs(where.query, keep_blank_values=True)
        bare = Request(handler.command, where.path, query, headers, body, time.monotonic())
        request = Request(**{**bare.__dict__, "action": self.action(bare)})
        answer = self.answered(request)
        if answer.cut:
            # A reset, as of a load balancer that dies: the client cannot take it for an answer without a body.
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.close_connection = True
            handler.connection.close()
            return
        out = b"" if answer.body is None else answer.body
        data = out if isinstance(out, bytes) else json.dumps(out).encode()
        handler.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def pages(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut ``items`` into pages of ``size``; there is always one."""
    for at in range(0, max(len(items), 1), size):
        yield items[at : at + size]
