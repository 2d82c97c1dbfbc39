"""AKS of Microsoft Azure: pools of a scale set each, changed by reading the whole pool and writing it with its ETag.

A write answers with the address of an operation, which tells by itself when it is over and with what error. The size
stays the one that was asked for where a part of it was not to be had.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.core.rest import HttpRequest
from azure.identity import DefaultAzureCredential
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.containerservice.models import AgentPool, AgentPoolDeleteMachinesParameter

from scaler.drivers import cloud_aks_api as api
from scaler.errors import AmbiguousError, CloudError, InputError, NotOfferedError, ScalerError
from scaler.model.clouds import Aks as AksCluster
from scaler.model.pools import Operation, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from azure.core.paging import ItemPaged
    from azure.core.rest import HttpResponse
    from azure.mgmt.containerservice.models import Machine

    from scaler.drivers.cloud import Doors, Offer
    from scaler.model.pools import Autoscaling, Change, Instance, Pool, PoolSpec

CONNECT_SECONDS, READ_SECONDS = 10, 60
_OPERATION = "Azure-AsyncOperation"
_NOT_FOUND = 404
_SIZES = {"set-size", "create"}
T = TypeVar("T")
# What the SDK warns of, its exceptions say too; without a handler Python would print it.
logging.getLogger("azure").addHandler(logging.NullHandler())


class Aks:
    """One cluster of AKS'."""

    title: ClassVar[str] = "Azure AKS"
    offers: ClassVar[frozenset[Offer]] = frozenset({"autoscaler", "create", "delete", "remove-instances"})

    def __init__(self, doors: Doors) -> None:
        if not isinstance(doors.cluster, AksCluster):
            raise InputError(f"cluster {doors.cluster.cluster_name} is of kind {doors.cluster.kind}, not aks")
        self._doors = doors
        self._calls = doors.make_calls(api.translate)
        self._where = (doors.cluster.resource_group, doors.cluster.cluster_id)
        self._client = _client(doors, doors.cluster.subscription)

    def pools(self) -> tuple[Pool, ...]:
        """Return all pools; AKS tells their machines pool by pool."""
        told = self._paged(self._client.agent_pools.list(*self._where), of_pool=False)
        return tuple(api.pool_of(each, self._machines(str(each.name))) for each in told)

    def pool(self, pool_id: str) -> Pool | None:
        """Return one pool."""
        told = self._told(pool_id)
        return api.pool_of(told, self._machines(pool_id)) if told else None

    def instances(self, pool: Pool) -> tuple[Instance, ...]:
        """Return the machines of a pool; those that could not be started have no ID here."""
        return tuple(api.instance_of(each, pool) for each in self._machines(pool.id))

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Ask for a size."""
        properties = api.sized(api.writable(self._must_be_told(pool)), size, pool.name)
        # AKS does not tell how many of an operation's machines came: what was there before tells a part from nothing.
        more = {"before": str(pool.actual)}
        return self._operation("set-size", pool.id, self._put(pool, properties), target=size, more=more)

    def set_autoscaling(self, pool: Pool, wanted: Autoscaling) -> Operation:
        """Set bounds and the autoscaler; without it AKS keeps none."""
        properties = api.autoscaled(api.writable(self._must_be_told(pool)), wanted, pool.name)
        return self._operation("set-autoscaling", pool.id, self._put(pool, properties))

    def create_like(self, like: Pool, spec: PoolSpec) -> Operation:
        """Make a pool like another one, of the newest image; one of that name is never written over."""
        properties = api.sized(api.writable(self._must_be_told(like)), spec.size, like.name)
        bounds = spec.bounds_like(like)
        if spec.autoscaling is not None or not like.has(bounds):
            properties = api.autoscaled(properties, bounds, like.name)
        # A stopped pool's copy is to run.
        properties.pop("powerState", None)
        answer = self._calls.absolute(
            lambda: self._created_or_updated(spec.name, properties, {"match_condition": MatchConditions.IfMissing})
        )
        return self._operation("create", spec.name, answer, target=spec.size, more={"before": "0"})

    def delete(self, pool: Pool) -> Operation:
        """Delete a pool with its machines."""
        asked = None if pool.state == "deleting" else self._calls.absolute(lambda: self._deleted(pool))
        return self._operation("delete", pool.id, asked, target=0)

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        """End these machines by one request; AKS lowers the pool's size with them."""
        names = [each.id for each in instances]

        def ask() -> HttpResponse:
            parameters = AgentPoolDeleteMachinesParameter(machine_names=names)
            poller: Any = self._client.agent_pools.begin_delete_machines(
                *self._where, pool.id, parameters, polling=False, cls=_answer
            )
            answer: HttpResponse = poller.result()
            return answer

        try:
            asked = self._calls.once(ask)
        except AmbiguousError:
            # AKS does not tell which machines leave, and does one thing with a pool at a time. That it was at rest
            # before and is at work now is all that it tells of a removal; one that is over shows by the machines.
            if not self._is_at_work(pool):
                raise
            asked = None
        return self._operation("remove-instances", pool.id, asked, instances=names)

    def masters(self) -> tuple[Instance, ...]:
        """Refuse: the masters are Microsoft's."""
        raise self._no_masters()

    def add_masters(self, machines: Sequence[str]) -> Operation:
        """Refuse, as above."""
        del machines
        raise self._no_masters()

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:
        """Refuse, as above."""
        del instances
        raise self._no_masters()

    def poll(self, operation: Operation) -> Progress:
        """Ask the operation; where AKS has none, or has forgotten it, the pool tells."""
        told = self._calls.read(lambda: self._status(operation.more.get("url", "")))
        status = str((told or {}).get("status") or "")
        if told is None:
            return self._at_rest(operation)
        if status.lower() == "succeeded":
            return self._succeeded(operation)
        if status.lower() not in {"failed", "canceled"}:
            return Progress(state="running", told=f"{operation.change} of pool {operation.pool}: {status}")
        why = api.refusal(told) if told.get("error") else api.Refusal(status, f"the operation was {status.lower()}")
        return self._failed(operation, why)

    def _succeeded(self, operation: Operation) -> Progress:
        """Believe AKS, unless the pool says that machines are missing all the same."""
        if operation.change in _SIZES:
            pool = self.pool(operation.pool)
            if pool and pool.troubles and pool.target == operation.target and pool.actual < pool.target:
                return _short(operation, pool, pool.troubles)
        return Progress(state="done")

    def _failed(self, operation: Operation, why: api.Refusal) -> Progress:
        pool = None if operation.change == "delete" else self.pool(operation.pool)
        if pool and operation.change in _SIZES:
            return _short(operation, pool, why.troubles)
        if pool and operation.change == "remove-instances":
            by_name = {each.target: each for each in why.details}
            left = self._left(operation, pool)
            troubles = tuple(by_name.get(name, why).trouble(name) for name in left) or why.troubles
            state = "partial" if len(left) < len(operation.instances) else "failed"
            return Progress.model_validate({"state": state, "cause": why.cause, "troubles": troubles})
        return Progress(state="failed", cause=why.cause, troubles=why.troubles)

    def _at_rest(self, operation: Operation) -> Progress:
        """Read off the pool what has come of an operation that cannot be asked.

        AKS does not say since when a pool is in trouble. One that is at rest, though not as wanted, will not change by
        itself, so that is the end, also where the trouble is an older one's.
        """
        pool = self.pool(operation.pool)
        if pool is None:
            gone = operation.change == "delete"
            return Progress(state="done") if gone else Progress(state="failed", told="the pool is gone", cause="cloud")
        if pool.state in {"changing", "deleting"}:
            return Progress(state="running", told=f"pool {pool.name} is {pool.told}")
        if operation.change == "remove-instances":
            return self._removed(operation, pool)
        as_wanted = operation.change == "set-autoscaling" or pool.target == operation.target == pool.actual
        if as_wanted or not pool.troubles:
            told = f"pool {pool.name}: {pool.actual} of {pool.target} machines"
            return Progress(state="done" if as_wanted else "running", told=told)
        return _short(operation, pool, pool.troubles)

    def _removed(self, operation: Operation, pool: Pool) -> Progress:
        left = self._left(operation, pool)
        if not left:
            return Progress(state="done")
        troubles = tuple(Trouble(what=name, message="it is still there, and AKS is at rest") for name in left)
        return Progress(
            state="partial" if len(left) < len(operation.instances) else "failed",
            cause=api.cause_of(pool.troubles),
            troubles=troubles,
        )

    def _left(self, operation: Operation, pool: Pool) -> list[str]:
        return [each.id for each in self.instances(pool) if each.id in operation.instances]

    def _is_at_work(self, pool: Pool) -> bool:
        try:
            now = self.pool(pool.id)
        except ScalerError:
            return False
        return now is not None and now.state == "changing"

    def _told(self, pool_id: str) -> AgentPool | None:
        return self._calls.read(lambda: _unless_gone(lambda: self._client.agent_pools.get(*self._where, pool_id)))

    def _must_be_told(self, pool: Pool) -> AgentPool:
        told = self._told(pool.id)
        if told is None:
            raise CloudError(f"there is no pool {pool.name} any more")
        return told

    def _machines(self, pool_id: str) -> list[Machine]:
        """Return what a pool has, nothing where the pool is gone."""
        return self._paged(self._client.machines.list(*self._where, pool_id), of_pool=True)

    def _paged(self, items: ItemPaged[T], *, of_pool: bool) -> list[T]:
        """Return what stands on all pages, each of them one request; one that failed is asked for again."""
        pages: Iterator[Iterator[T]] = items.by_page()
        found: list[T] = []

        def ask() -> Iterator[T] | None:
            return _unless_gone(lambda: next(pages, None)) if of_pool else next(pages, None)

        while (page := self._calls.read(ask)) is not None:
            found += page
        return found

    def _put(self, pool: Pool, properties: dict[str, Any]) -> HttpResponse:
        """Write a pool, bound to the version that the core has seen and not to the one just read."""
        bound = {"etag": pool.etag, "match_condition": MatchConditions.IfNotModified} if pool.etag else {}
        return self._calls.absolute(lambda: self._created_or_updated(pool.id, properties, bound))

    def _created_or_updated(self, name: str, properties: dict[str, Any], bound: dict[str, Any]) -> HttpResponse:
        body = AgentPool({"properties": properties})
        poller: Any = self._client.agent_pools.begin_create_or_update(
            *self._where, name, body, polling=False, cls=_answer, **bound
        )
        answer: HttpResponse = poller.result()
        return answer

    def _deleted(self, pool: Pool) -> HttpResponse | None:
        bound: dict[str, Any] = (
            {"etag": pool.etag, "match_condition": MatchConditions.IfNotModified} if pool.etag else {}
        )

        def ask() -> HttpResponse:
            poller: Any = self._client.agent_pools.begin_delete(
                *self._where, pool.id, polling=False, cls=_answer, **bound
            )
            answer: HttpResponse = poller.result()
            return answer

        return _unless_gone(ask)

    def _status(self, url: str) -> dict[str, Any] | None:
        """Ask an operation by its address, which Azure has signed; None where there is none (any more)."""
        if not url:
            return None
        answer = self._client.send_request(HttpRequest("GET", url))
        if answer.status_code == _NOT_FOUND:
            return None
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def _no_masters(self) -> NotOfferedError:
        return NotOfferedError(f"masters are not offered by this provider ({self.title}): they are the cloud's own")

    def _operation(
        self,
        change: Change,
        pool: str,
        answer: HttpResponse | None,
        *,
        target: int | None = None,
        instances: Sequence[str] = (),
        more: dict[str, str] | None = None,
    ) -> Operation:
        headers = answer.headers if answer is not None else {}
        url = headers.get(_OPERATION, "")
        return Operation(
            change=change,
            id=urlsplit(url).path.rpartition("/")[2],
            pool=pool,
            target=target,
            instances=tuple(instances),
            started=self._doors.clock.now(),
            request=api.request_id(headers),
            more={**(more or {}), **({"url": url} if url else {})},
        )


def _client(doors: Doors, subscription: str) -> ContainerServiceClient:
    endpoint = doors.endpoint("aks").rstrip("/")
    # Without an address of ours the SDK takes its own cloud's, which AZURE_SDK_CLOUD_CONF names.
    ours: dict[str, Any] = {"base_url": endpoint, "credential_scopes": [f"{endpoint}/.default"]} if endpoint else {}
    # An authority that the operator names is one to trust; asking Microsoft's about it fails in a private cloud.
    credential = DefaultAzureCredential(
        disable_instance_discovery=bool(doors.environment.get("AZURE_AUTHORITY_HOST")),
    )
    return ContainerServiceClient(
        credential,
        subscription,
        retry_total=0,
        permit_redirects=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        **ours,
    )


def _short(operation: Operation, pool: Pool, troubles: Sequence[Trouble]) -> Progress:
    """Judge a size of which a part is not there, or a pool that should be gone and is not."""
    came = operation.change != "delete" and pool.actual > int(operation.more.get("before", "0"))
    return Progress(
        state="partial" if came else "failed",
        told=f"{pool.actual} of {operation.target} machines are there",
        cause=api.cause_of(troubles),
        troubles=tuple(troubles),
    )


def _answer(response: Any, *_: object) -> HttpResponse:  # noqa: ANN401 - the SDK's own type of pipeline is private
    answer: HttpResponse = response.http_response
    return answer


def _unless_gone(ask: Callable[[], T]) -> T | None:
    """Return what the pool was asked for, None where there is no such pool; a missing cluster is an error."""
    try:
        return ask()
    except ResourceNotFoundError as e:
        if api.is_of_cluster(e):
            raise
        return None


DRIVER = Aks
