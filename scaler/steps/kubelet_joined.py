"""Let the kubelets in: approve exactly their requests, and wait until each node is Ready three times in a row.

A kubelet that starts without a certificate asks anonymously for ten seconds before it notices that its certificate has
come (client-go checks for a rotated certificate every 10 s). It is restarted as soon as the certificate is on disk,
which saves those seconds; its key was made on the host and stays there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scaler.errors import ScalerError, UnreachableError
from scaler.gateways.kube import csrs, nodes
from scaler.gateways.ssh import REBOOT_SECONDS, patiently
from scaler.gateways.threads import Threads
from scaler.pki.approval import SERVING_SIGNER, Expected, refusal
from scaler.steps.credentials_issued import GROUP, drop_token
from scaler.steps.unit_log import log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from scaler.model.inventory import Host, Settings
    from scaler.model.state import Node
    from scaler.plan.plan import Plan
    from scaler.steps.base import Failures, World

JOIN_SECONDS = 120.0
READY_TIMES = 3
READY_EVERY = 1.0
ALIVE_EVERY = 5.0
# The kubelet tells its heartbeat in whole seconds of the host's own clock, which preflight held to 2 s.
CLOCK_SLACK = 3.0

_RESTART = """
for i in $(seq 600); do
  [ -e /var/lib/kubelet/pki/kubelet-client-current.pem ] && break
  sleep 0.1
done
[ -e /var/lib/kubelet/pki/kubelet-client-current.pem ] || exit 3
rm -f /var/lib/kubelet/bootstrap.kubeconfig
[ -e /var/lib/kubelet/pki/kubelet-server-current.pem ] && echo serves
# A kubelet that is still starting does not heed SIGTERM; it has nothing to lose yet.
systemctl kill --signal=KILL kubelet.service
exec systemctl restart kubelet.service
"""
NO_CERTIFICATE = 3


class KubeletJoined:
    """Each node has its certificates and is Ready, and stays so."""

    title = "Join the kubelets"
    commits = ""

    def describe(self, plan: Plan, settings: Settings) -> Sequence[str]:
        """Tell what the step will do."""
        del plan, settings
        return [
            "approve its client and serving certificate requests, if they are exactly its own; wait until it is Ready"
        ]

    def apply(self, world: World, hosts: Sequence[Host]) -> Failures:
        """Watch requests and nodes until every host is in or has failed."""
        joins = [_Join(world, host) for host in hosts]
        deadline = world.clock.monotonic() + JOIN_SECONDS
        with Threads(len(joins) * 2 + 2) as pool:
            for join in joins:
                join.restarted = pool.submit(_restart, world, join.host)
            while any(join.waiting for join in joins):
                waiting = [join for join in joins if join.waiting]
                seen = pool.submit(nodes, world.kube, [join.host.name for join in waiting])
                _approve(world, waiting)
                by_name = {node.name: node for node in seen.result()}
                for join in waiting:
                    join.look(by_name.get(join.host.name), pool)
                    if join.waiting and world.clock.monotonic() > deadline:
                        join.failure = f"not Ready after {JOIN_SECONDS:g} s: {join.why}"
                world.clock.sleep(0.3)
            for join in joins:
                drop_token(world, join.host.name)
                if join.failure:
                    join.failure += log(world, join.host, "kubelet.service")
        return {join.host.name: join.failure for join in joins if join.failure}

    def undo(self, world: World, host: Host) -> None:
        """Nothing of its own: the host's cleaning removes keys and certificates."""


class NoCertificateError(ScalerError):
    """The kubelet's request was not granted."""


class _Join:
    """One host on its way in."""

    def __init__(self, world: World, host: Host) -> None:
        self.host = host
        self.failure = ""
        self.request = ""
        self.serves = False
        self.restarted: Future[bool] | None = None
        self._report = "its kubelet has not reported"
        self._alive: Future[object] | None = None
        self._world = world
        self._since = world.clock.now().timestamp()
        self._ready: list[float] = []
        self._asked = world.clock.monotonic()

    @property
    def waiting(self) -> bool:
        """Tell whether it is neither in nor failed."""
        return not self.failure and not (self.serves and len(self._ready) >= READY_TIMES)

    @property
    def why(self) -> str:
        """Return what is known of why it is not in: its request's fate, and what the kubelet says."""
        return "; ".join(part for part in (self.request, self._report) if part)

    def look(self, node: Node | None, pool: Threads) -> None:
        """Take in one look at the node."""
        now = self._world.clock.monotonic()
        if self.restarted and self.restarted.done():
            error = self.restarted.exception()
            if error:
                why = f": {self.why}" if isinstance(error, NoCertificateError) else ""
                self.failure = f"{error.message}{why}" if isinstance(error, ScalerError) else repr(error)
                return
            # A kubelet that joined half-way before has its serving certificate, and asks for no other.
            self.serves = self.serves or self.restarted.result()
            if node is not None and self._reports_ready(node):
                if not self._ready or now - self._ready[-1] >= READY_EVERY:
                    self._ready.append(now)
            else:
                self._ready.clear()
        self._still_alive(pool, now)

    def _reports_ready(self, node: Node) -> bool:
        self._report = node.why_not_ready
        heartbeat = node.heartbeat
        return node.ready and heartbeat is not None and heartbeat.timestamp() >= self._since - CLOCK_SLACK

    def _still_alive(self, pool: Threads, now: float) -> None:
        """Ask the host itself now and then, so that one that died does not cost the whole deadline."""
        if self._alive and self._alive.done():
            error = self._alive.exception()
            if isinstance(error, UnreachableError):
                self.failure = f"the host died while joining: {error.message}"
            self._alive = None
        if self._alive is None and now - self._asked >= ALIVE_EVERY:
            self._asked = now
            self._alive = pool.submit(_ask, self._world, self.host)


def _ask(world: World, host: Host) -> None:
    patiently(world.ssh, world.clock, host, ["true"], timeout=10, patience=REBOOT_SECONDS)


def _restart(world: World, host: Host) -> bool:
    """Restart the kubelet once it has its certificate; tell whether it has its serving certificate too.

    A host on its way down refuses that, and is asked again.
    """
    deadline = world.clock.monotonic() + REBOOT_SECONDS
    while True:
        said = patiently(world.ssh, world.clock, host, ["sh", "-c", _RESTART], timeout=90, patience=REBOOT_SECONDS)
        if said.status == 0:
            return "serves" in said.out
        if said.status == NO_CERTIFICATE:
            raise NoCertificateError("it got no client certificate in 60 s")
        if world.clock.monotonic() > deadline:
            raise ScalerError(f"the kubelet did not start with its certificate: {said.err.strip()}")
        world.clock.sleep(1.0)


def _approve(world: World, waiting: Sequence[_Join]) -> None:
    """Approve the pending requests that are exactly those of the hosts that wait."""
    expected = [
        Expected(
            join.host.name,
            world.tokens.get(join.host.name, ""),
            GROUP,
            frozenset({join.host.name}),
            frozenset({join.host.address}),
        )
        for join in waiting
    ]
    good: dict[str, _Join | None] = {}
    for join in waiting:
        join.request = ""
    for csr in csrs(world.kube):
        if not csr.pending:
            continue
        for join, each in zip(waiting, expected, strict=True):
            own = {f"system:node:{join.host.name}", f"system:bootstrap:{each.token_id}"}
            why = refusal(csr, each)
            if why is None:
                good[csr.metadata.name] = join if csr.spec.signer == SERVING_SIGNER else None
            elif csr.spec.username in own:
                join.request = f"its request {csr.metadata.name} is not approved: {why}"
    if good:
        world.kube.call(["certificate", "approve", *good])
    for served in good.values():
        if served:
            served.serves = True


STEP = KubeletJoined()
