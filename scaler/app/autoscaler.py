"""Serve the Cluster Autoscaler as its cloud provider ``externalgrpc``, until a signal says that it is enough."""

from __future__ import annotations

import ipaddress
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from scaler.app.autoscaler_groups import Groups
from scaler.app.autoscaler_look import Lookout
from scaler.app.autoscaler_work import Doors, Drain, Worker
from scaler.engine.ledger import Book, only_server
from scaler.errors import InputError, ScalerError
from scaler.gateways.children import ScalerChildren
from scaler.gateways.clock import SystemClock
from scaler.gateways.notify import notify
from scaler.gateways.pages import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

    from scaler.gateways.externalgrpc.server import Certificates
    from scaler.model.inventory import Cluster

LISTEN = "127.0.0.1:8086"
_LOOK_SECONDS = 1.0


class Endpoint(NamedTuple):
    """A host or address, and a port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether nobody but this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class How(NamedTuple):
    """Where to listen, with what, and how nodes are emptied; without ``certificates`` on loopback only."""

    listen: Endpoint
    certificates: Certificates | None
    metrics: Endpoint | None = None
    drain: Drain = Drain()


def endpoint(text: str, option: str) -> Endpoint:
    """Return the endpoint of 127.0.0.1:8086 or [::1]:8086; raises InputError where it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) >= 2**16:
        raise InputError(f"{option} {text}: not ADDRESS:PORT", hint=f"{option} {LISTEN}")
    return Endpoint(host.strip("[]"), int(port))


def certificates(given: dict[str, Path | None], listen: Endpoint, *, insecure_loopback: bool) -> Certificates | None:
    """Return the certificates of the options ``given``, None for none; refuse to be without any where others reach.

    Whoever may call adds machines to the cluster and takes them away.
    """
    from scaler.gateways.externalgrpc.server import Certificates  # noqa: PLC0415 - grpc is an extra

    missing = [option for option, path in given.items() if path is None]
    if insecure_loopback:
        if len(missing) < len(given):
            raise InputError("--insecure-loopback and certificates exclude each other", hint="leave one of them out")
        if not listen.is_loopback:
            raise InputError(
                f"--insecure-loopback is for loopback, and {listen} is not",
                hint=f"listen at {LISTEN}, or give certificates",
            )
        return None
    paths = [path for path in given.values() if path is not None]
    if missing:
        raise InputError(
            f"{', '.join(missing)} missing: the autoscaler and scaler show each other certificates",
            hint="scaler autoscaler certificates makes them; for a trial on one machine say --insecure-loopback",
        )
    found = Certificates(*paths)
    found.read()
    return found


def must_have_pools(cluster: Cluster) -> None:
    """Refuse a cluster without pools: there is nothing that the autoscaler could move."""
    if not cluster.settings.pools:
        raise InputError(
            f"cluster {cluster.name} has no pools",
            hint=f"name them under 'pools' in {cluster.directory}/group_vars/all.yml, and give hosts their 'pool'",
        )


def serve(named: str, cluster: Cluster, how: How, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then end in order: calls are finished, and a run stops as by Ctrl-C."""
    from scaler.app.autoscaler_calls import Answers  # noqa: PLC0415 - grpc is an extra
    from scaler.app.autoscaler_metrics import Counters, pages  # noqa: PLC0415 - as above
    from scaler.gateways.externalgrpc.server import listening  # noqa: PLC0415 - as above

    must_have_pools(cluster)
    clock, counters, signals = SystemClock(), Counters(), Signals()
    with only_server(cluster.name), ExitStack() as doors:
        groups = Groups(Book(cluster.name), clock)
        lookout = Lookout(named, cluster, clock)
        world = Doors(lookout.look, lookout.reopen, ScalerChildren(), clock)
        worker = Worker(named, cluster.name, groups, world, how.drain, say=say, ran=counters.run)
        doors.enter_context(signals.heard_by(worker.stop))
        if how.metrics:
            port = doors.enter_context(shown(how.metrics.host, how.metrics.port, pages(groups, counters, worker)))
            say(f"metrics at http://{how.metrics._replace(port=port)}/metrics")
        answers = Answers(groups, clock, worker.wake)
        try:
            with listening(str(how.listen), how.certificates, answers, counters.call) as port:
                worker.start()
                where = how.listen._replace(port=port)
                say(f"cluster {cluster.name}: the Cluster Autoscaler is answered at {where}")
                notify(f"READY=1\nSTATUS=answering at {where}")
                while not signals.came.wait(_LOOK_SECONDS):
                    if not worker.alive:
                        raise ScalerError("a thread of the server has ended; see above", hint="systemd starts it anew")
                notify("STOPPING=1\nSTATUS=finishing what was begun")
                say("stopping: calls are finished, and a run that goes on stops in order")
        finally:
            # A signal has told it already, and a second one would abort the run.
            if not signals.came.is_set():
                worker.stop()
            while not worker.join(_LOOK_SECONDS):
                pass
    say("stopped")


class Signals:
    """Hears SIGTERM and SIGINT, and tells each of them on."""

    def __init__(self) -> None:
        self.came = threading.Event()

    def heard_by(self, hear: Callable[[], None]) -> ExitStack:
        """Let ``hear`` hear of each, in a thread of its own, until the end of the block."""
        stack = ExitStack()

        def come(_number: int, _frame: FrameType | None) -> None:
            self.came.set()
            # The handler may stand in the middle of what takes the same locks.
            threading.Thread(target=hear, daemon=True).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            stack.callback(signal.signal, number, signal.signal(number, come))
        return stack
