"""Do what the autoscaler wishes: one run at a time, all that waits in one batch, and gone on with after a restart."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from scaler.engine import lock
from scaler.errors import ScalerError
from scaler.model.node_groups import Ended
from scaler.plan.node_groups import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scaler.app.autoscaler_groups import Groups
    from scaler.gateways.children import Child, Children
    from scaler.gateways.clock import Clock
    from scaler.model.node_groups import Batch, World

_IDLE_SECONDS = 10.0
_BUSY_SECONDS = 2.0
# The autoscaler asks group by group, one call after the other: all of it is to go in one run.
_GATHER_SECONDS = 1.0


class Drain(NamedTuple):
    """How nodes are emptied that the autoscaler has emptied before: what is left on them is told by these."""

    timeout: str = "300"
    force: bool = False
    delete_emptydir_data: bool = False

    def argv(self, hosts: int) -> list[str]:
        """Return the options of remove-node."""
        return ["--ignore-daemonsets", "--to-standby", "--max-unavailable", str(hosts), *self.options()]

    def options(self) -> list[str]:
        """Return what the server itself was told of it."""
        told = ["--timeout", self.timeout, *(["--force"] if self.force else [])]
        return [*told, "--delete-emptydir-data"] if self.delete_emptydir_data else told


class Doors(NamedTuple):
    """What looks at the cluster, what opens Nodes that were to leave and stay, what starts runs, and time."""

    look: Callable[[], World]
    reopen: Callable[[Sequence[str]], None]
    children: Children
    clock: Clock


class Worker:
    """The two that work beside the calls: one looks at the cluster, one runs what is wished.

    ``named`` is the cluster as commands are told of it, ``cluster`` its own name. ``ran`` hears of each run: its verb,
    its exit code, and how long it took. ``gather`` is for how many seconds a run lets more wishes come.
    """

    def __init__(
        self,
        named: str,
        cluster: str,
        groups: Groups,
        doors: Doors,
        drain: Drain,
        *,
        say: Callable[[str], None],
        ran: Callable[[str, int, float], None] = lambda *_: None,
        gather: float = _GATHER_SECONDS,
    ) -> None:
        self._named = named
        self._cluster = cluster
        self._groups = groups
        self._doors = doors
        self._drain = drain
        self._say = say
        self._ran = ran
        self._gather = gather
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._look_wanted, self._work_wanted = threading.Event(), threading.Event()
        self._child: Child | None = None
        self._starting = threading.Lock()
        self._threads = [
            threading.Thread(target=self._forever, args=(act, wanted), name=title, daemon=True)
            for title, act, wanted in (
                ("look", self._look_on, self._look_wanted),
                ("work", self._work_on, self._work_wanted),
            )
        ]

    def start(self) -> None:
        """Begin to look and to work."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Let both look for something to do now."""
        self._look_wanted.set()
        self._work_wanted.set()

    @property
    def alive(self) -> bool:
        """Tell whether both go on."""
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Begin nothing more; a run that goes on stops in order, and at a second word at once, as with Ctrl-C."""
        self._stopping.set()
        with self._starting:
            child = self._child
        if child is not None:
            child.stop()
        self.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of what goes on, at most ``timeout`` seconds; tell whether it has ended."""
        for thread in filter(threading.Thread.is_alive, self._threads):
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def look(self) -> None:
        """Look now; raises what kept from it. Two looks never overtake each other."""
        with self._looking:
            try:
                self._groups.saw(self._doors.look())
            except ScalerError as e:
                self._groups.trouble = e.message
                raise

    def _forever(self, act: Callable[[], float], wanted: threading.Event) -> None:
        while not self._stopping.is_set():
            try:
                seconds = act()
            except ScalerError as e:
                self._say(f"{e.message}; tried again")
                seconds = _IDLE_SECONDS
            wanted.wait(seconds)
            wanted.clear()

    def _look_on(self) -> float:
        before = self._groups.trouble
        try:
            self.look()
        except ScalerError as e:
            # Said once, not every few seconds.
            if e.message != before:
                raise
        # Somebody may have waited for what was seen now.
        self._work_wanted.set()
        return _IDLE_SECONDS

    def _work_on(self) -> float:
        """Do one run, if there is one to do; return how long there is nothing to do."""
        if lock.look(self._cluster) is not None or self._groups.fresh():
            return _BUSY_SECONDS
        if self._groups.ledger.batch is not None:
            # Its end nobody saw: the server was killed. Its process is gone too, since the lock is free.
            self._say(f"{_told(self._groups.ledger.batch)} was interrupted; the hosts are looked at")
            self._over(Ended(exit_code=INTERRUPTED, message="the server was killed meanwhile"))
        if self._groups.waits and self._stopping.wait(self._gather):
            return 0
        batch = self._groups.begin().batch
        if batch is None:
            return _IDLE_SECONDS
        self._run(batch)
        return 0

    def _run(self, batch: Batch) -> None:
        self._say(f"{_told(batch)} begins")
        began = self._doors.clock.monotonic()
        with self._starting:
            if self._stopping.is_set():
                return
            self._child = self._doors.children.start(self._argv(batch))
        code, envelope = self._child.wait()
        with self._starting:
            self._child = None
        took = self._doors.clock.monotonic() - began
        ended = read(code, envelope)
        self._say(f"{_told(batch)} ended with exit code {code} after {took:.0f} s {ended.message}".rstrip())
        self._ran(batch.verb, code, took)
        self._over(ended)

    def _over(self, ended: Ended) -> None:
        """Look at what came of a run, then take in how it ended; until both are done the run counts as going on."""
        while True:
            try:
                self.look()
                self._doors.reopen(self._groups.staying(ended))
                self._groups.ended(ended)
            except ScalerError as e:
                self._say(f"{e.message}; tried again")
                # Kept on the disk as going on: the next start looks as well.
                if self._stopping.wait(_BUSY_SECONDS):
                    return
            else:
                return

    def _argv(self, batch: Batch) -> list[str]:
        common = ["--cluster", self._named, "--yes", "--output", "json"]
        if batch.verb == "add-node":
            return ["add-node", *batch.hosts, "--keep-going", *common]
        return ["remove-node", *batch.hosts, *self._drain.argv(len(batch.hosts)), *common]


def read(code: int, envelope: dict[str, Any]) -> Ended:
    """Return how a run ended, out of its exit code and its envelope."""
    data, error = envelope.get("data") or {}, envelope.get("error") or {}
    failed = {str(host): str(why) for host, why in (data.get("failed") or {}).items()}
    return Ended(exit_code=code, failed=failed, kind=error.get("kind", ""), message=error.get("message", ""))


def _told(batch: Batch) -> str:
    return f"{batch.verb} {' '.join(batch.hosts)}"
