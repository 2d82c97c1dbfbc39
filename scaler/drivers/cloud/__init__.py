"""Managed clusters' node pools: what each cloud's driver does, and what it is given.

A driver is ``scaler/drivers/cloud/<kind>.py`` with ``DRIVER``, a class that is made from ``Doors``. It imports its SDK
at its top, and nobody imports the driver of a cloud that is not used; the SDK is the extra ``<kind>`` of
pyproject.toml. It says only what its API says and takes no decision: guards, order, waiting, retries and undo are those
of the core.

**What the core does, so that a driver does not**

* It reads a pool right before it writes, and gives the driver that very value; it refuses a target outside ``min`` and
  ``max``, an autoscaled pool, a pool that is ``changing``, and a size that ``per_zone`` does not allow.
* It turns ``+3`` into an absolute size, from ``target``.
* It cordons and drains before it removes instances, and lowers the size afterwards where the removal has not.
* It polls, every ``poll_seconds`` and no longer than ``wait_seconds``. It journals each Operation, so that ``poll`` may
  be asked by another process than the one that began it.
* It waits until the instances are there and their Nodes Ready; a driver never asks Kubernetes.

**Retries: one policy, in** ``scaler.drivers.cloud_calls``

SDKs retry nothing: switch their retries off. Every request goes through one of the three ways of ``Doors.calls``, given
a function that makes exactly one request:

* ``read``: repeated when throttled, behind a 5xx, and where the connection broke.
* ``absolute``: a write that says what shall be, so that twice is once. Repeated when throttled or behind a 5xx. After a
  broken connection it raises AmbiguousError; the core then looks, and asks again only where nothing was done.
* ``once``: a write that says how much more (or that is a removal without a token). Repeated only when the cloud said
  that it was throttled, and so not begun. Anything else ends it; after a 5xx or a broken connection: AmbiguousError.

``Doors.calls`` is told by the driver's ``translate`` what the SDK's exceptions mean. An answer that is an error in a
success' clothes (as TKE's, with HTTP 200) is raised inside that function too.

**Errors** (``translate`` returns them; each with ``code`` and ``request``, the cloud's own)

=================  ===================================================================================================
CredentialsError   401, 403, no credentials found; the hint names the cloud's own chain
ConflictError      the pool or cluster is being changed; a stale etag; "already in progress"
QuotaError         a limit of account, cluster or pool
SoldOutError       no stock, no capacity in the zone
ThrottledError     429 and its likes
AmbiguousError     timeout or reset after the request may have been sent; ``Doors.calls`` makes CloudError of a ``read``
CloudError         ``transient=True`` for 5xx and "try again"; else a refusal that has no class, its code shown
UnreachableError   never sent: no such host, connection refused, TLS not trusted
=================  ===================================================================================================

A pool that is not there is no error: ``pool`` returns None, ``instances`` none, and ``delete`` is done.

**Settings and tests**

``Doors.cluster`` has region, cluster ID and the cloud's own fields; credentials come from the vendor's own chain and
nothing else. ``Doors.endpoint("eks")`` is the address to use in place of the vendor's: from ``SCALER_ENDPOINT_EKS``,
then from ``endpoints`` of the inventory, else empty: then the SDK finds its own (and its own variables, as
``AWS_ENDPOINT_URL_EKS``, stay valid). Credentials, endpoints, certificates to trust (``SSL_CERT_FILE``,
``REQUESTS_CA_BUNDLE``, ``GRPC_DEFAULT_SSL_ROOTS_FILE_PATH``) and ``SCALER_POLL_SECONDS`` come by environment and files
only, since the tests run the command line as a process of its own.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, cast

from scaler.errors import InputError

if TYPE_CHECKING:
    from scaler.drivers.cloud_calls import Calls, Translate
    from scaler.gateways.clock import Clock
    from scaler.model.clouds import ManagedCluster
    from scaler.model.pools import Autoscaling, Instance, Operation, Pool, PoolSpec, Progress

Offer = Literal["autoscaler", "create", "delete", "remove-instances", "add-masters", "remove-masters"]
"""What not every cloud has. ``autoscaler``: it runs one itself, which can be switched on and off for a pool; without it
``Autoscaling.on`` is as it is, and only the bounds are written."""


@dataclass(frozen=True)
class Doors:
    """What a driver may use; ``environment`` is this process', ``calls`` makes its requests."""

    cluster: ManagedCluster
    clock: Clock
    environment: Mapping[str, str]
    make_calls: Callable[[Translate], Calls]

    def endpoint(self, service: str) -> str:
        """Return the address to use for ``service`` in place of the vendor's, empty where there is none."""
        said = self.environment.get(f"SCALER_ENDPOINT_{service.upper().replace('-', '_')}", "")
        return said or self.cluster.endpoints.get(service, "")


class Cloud(Protocol):
    """One managed cluster's pools. Every method blocks for its requests, never for their outcome."""

    title: ClassVar[str]
    offers: ClassVar[frozenset[Offer]]

    def pools(self) -> tuple[Pool, ...]:
        """Return all pools of the cluster; follows every page."""

    def pool(self, pool_id: str) -> Pool | None:
        """Return one pool, read now; None where there is none (any more)."""

    def instances(self, pool: Pool) -> tuple[Instance, ...]:
        """Return the pool's machines, also those that failed, with the reason; follows every page.

        What the cloud wanted to start and could not is told here as a ``failed`` one where it has an ID, and among the
        pool's ``troubles`` where it has none.
        """

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Ask for ``size`` nodes in the whole pool, as an absolute number, bound to ``pool.etag`` where there is one.

        Where a cloud counts by zone, the driver divides. Nothing else of the pool is written: no bounds, no list.
        """

    def set_autoscaling(self, pool: Pool, wanted: Autoscaling) -> Operation:
        """Set bounds, and switch the cloud's own autoscaler; never changes the size by itself.

        ``min`` and ``max`` count the whole pool. Where one request may not set bounds and size, this is all it sets.
        """

    def create_like(self, like: Pool, spec: PoolSpec) -> Operation:
        """Make a pool with everything writable of ``like``, and the name, size and autoscaling of ``spec``.

        What cannot be copied (a field that the cloud does not tell) is refused before anything is sent.
        """

    def delete(self, pool: Pool) -> Operation:
        """Delete the pool with its machines; one that is being deleted already is polled all the same."""

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        """End exactly these machines, which were drained, and let the size go down with them where the cloud can.

        One request each where the cloud takes one at a time: those it refused are the Operation's ``troubles``, with
        ``what`` the instance's ID, and not among its ``instances``. An AmbiguousError in the middle of several is such
        a trouble too, code ``ambiguous``; alone it is raised.
        """

    def masters(self) -> tuple[Instance, ...]:
        """Return the masters, where the customer owns them; raises NotOfferedError elsewhere."""

    def add_masters(self, machines: Sequence[str]) -> Operation:
        """Make masters of these machines, by their IDs; raises NotOfferedError where that cannot be.

        A relative call: sent once. Its Operation's ``target`` is the number of masters in the end.
        """

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:
        """End exactly these masters; raises NotOfferedError where there is no such call."""

    def poll(self, operation: Operation) -> Progress:
        """Ask once what has come of ``operation``, which any process may have begun; never waits.

        ``done`` is the cloud's own word that its work is over and, where it has no such word or ``operation.id`` is
        empty, that the pool is as wanted: at its target, with that many instances, and not changing. ``partial`` and
        ``failed`` come with ``troubles`` and ``cause``, also when the cloud calls it success, as it does for an
        operation that is DONE with an error, or for machines that could not be started. Troubles from before
        ``operation.started`` are no failure of this one.
        """


Driver = Callable[[Doors], Cloud]
"""What a module's DRIVER is: the class itself."""


def kinds() -> tuple[str, ...]:
    """Return the kinds that there is a driver of; imports none."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def of(kind: str) -> Driver:
    """Return the driver of ``kind``; raises InputError where there is none, or its SDK is not installed."""
    if kind not in kinds():
        raise InputError(f"kind: there is no driver {kind!r}", hint=f"binary, or one of {', '.join(kinds())}")
    name = f"{__name__}.{kind}"
    try:
        return cast("Driver", importlib.import_module(name).DRIVER)
    except ModuleNotFoundError as e:
        if (e.name or "").split(".")[0] == __name__.split(".", maxsplit=1)[0]:
            raise
        raise InputError(
            f"a cluster of kind {kind} needs the vendor's SDK, and {e.name} is not installed",
            hint=f"pip install 'scaler[{kind}]'",
        ) from e
