"""ACK of Alibaba Cloud: every change is a task, sizes are the expected number of nodes of a whole pool.

Writes go through the SDK's ``call_api`` with bodies of our own: its request models send an empty list for every list
that nobody set, and whether ACK takes that for "none at all" is not known. They are used for reading only.
"""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from alibabacloud_credentials.client import Client as Credentials
from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from scaler.drivers import cloud_ack_answers as answers
from scaler.drivers import cloud_ack_errors as errors
from scaler.errors import AmbiguousError, CloudError, ConflictError, NotOfferedError, QuotaError
from scaler.model.pools import Operation, Progress, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from scaler.drivers.cloud import Doors, Offer
    from scaler.model.pools import Autoscaling, Change, Instance, Pool, PoolSpec

VERSION = "2015-12-15"
PAGE = 100
# ACK's own limit for one operation.
MOST_MORE = 500
# The instances stand in the address of the request, and addresses have a length.
MOST_REMOVED = 100
CONNECT_MS, READ_MS = 10_000, 30_000
# What was made up to so long before an operation may be its doing: clocks differ.
_SKEW = timedelta(seconds=60)


class Wrote(NamedTuple):
    """ACK's answer to a write."""

    task: str = ""
    pool: str = ""
    request: str = ""


class Ack:
    """One cluster of ACK."""

    title: ClassVar[str] = "Alibaba Cloud ACK"
    offers: ClassVar[frozenset[Offer]] = frozenset({"autoscaler", "create", "delete", "remove-instances"})

    def __init__(self, doors: Doors) -> None:
        self._clock = doors.clock
        self._cluster = doors.cluster.cluster_id
        self._calls = doors.make_calls(errors.translate)
        self._client = Client(_config(doors))
        trust = doors.environment.get("REQUESTS_CA_BUNDLE") or doors.environment.get("SSL_CERT_FILE")
        # Only then: the SDK takes an empty path for a file.
        ca = {"ca": trust} if trust else {}
        self._runtime = RuntimeOptions(connect_timeout=CONNECT_MS, read_timeout=READ_MS, **ca)
        self._unknown: set[str] = set()

    def pools(self) -> tuple[Pool, ...]:
        """Return all pools; ACK tells them in one answer (20 a cluster, unless its quota was raised)."""
        ask = models.DescribeClusterNodePoolsRequest()
        told = self._calls.read(
            lambda: self._client.describe_cluster_node_pools_with_options(self._cluster, ask, {}, self._runtime)
        )
        return tuple(answers.pool_of(each) for each in told.body.nodepools or [])

    def pool(self, pool_id: str) -> Pool | None:
        """Return one pool."""
        told = self._detail(pool_id)
        return None if told is None else answers.pool_of(told)

    def instances(self, pool: Pool) -> tuple[Instance, ...]:
        """Return the pool's machines; ACK tells neither their zones nor the whole providerID of their Nodes."""
        return tuple(answers.instance_of(each) for each in self._nodes(pool.id))

    def set_size(self, pool: Pool, size: int) -> Operation:
        """Set the expected number of nodes; where a pool has none, ask for so many more, once."""
        if size - pool.target > MOST_MORE:
            raise QuotaError(
                f"pool {pool.name}: {size - pool.target} nodes more were asked for, ACK takes {MOST_MORE} at a time",
                hint=f"ask for {pool.target + MOST_MORE} first",
            )
        started = self._clock.now()
        if not answers.keeps_size(self._must_find(pool)):
            return self._grown(pool, size, started)
        act = self._modify(pool.id, {"scaling_group": {"desired_size": size}})
        return self._operation("set-size", started, self._calls.absolute(act), pool=pool.id, target=size)

    def set_autoscaling(self, pool: Pool, wanted: Autoscaling) -> Operation:
        """Switch ACK's autoscaler with bounds; ACK has no bounds while it is off.

        Bounds that the pool's size is outside of would be taken at once, by making or ending machines.
        """
        started = self._clock.now()
        told = self._must_find(pool)
        scaling = answers.scaling_body(told, low=wanted.min, high=wanted.max) if wanted.on else {"enable": False}
        act = self._modify(pool.id, {"auto_scaling": scaling})
        return self._operation("set-autoscaling", started, self._calls.absolute(act), pool=pool.id)

    def create_like(self, like: Pool, spec: PoolSpec) -> Operation:
        """Make a pool like another one; sent once, since ACK has no token and takes a name twice."""
        started = self._clock.now()
        body = answers.pool_body(self._must_find(like), spec)
        wrote = self._calls.once(partial(self._write, "CreateClusterNodePool", "POST", self._path(), body=body))
        return self._operation("create", started, wrote, pool=wrote.pool or spec.name, target=spec.size)

    def delete(self, pool: Pool) -> Operation:
        """Delete the pool with its machines."""
        started, gone = self._clock.now(), {"force": "true"}
        wrote = Wrote()
        if pool.state != "deleting":
            act = partial(self._write, "DeleteClusterNodepool", "DELETE", self._path(pool.id), query=gone)
            try:
                wrote = self._calls.absolute(act)
            except CloudError as e:
                if not errors.is_no_pool(e):
                    raise
        return self._operation("delete", started, wrote, pool=pool.id, target=0)

    def remove_instances(self, pool: Pool, instances: Sequence[Instance]) -> Operation:
        """End these machines in one request; ACK lowers the size, and tells in the task what it refused."""
        names = tuple(each.id for each in instances)
        if len(names) > MOST_REMOVED:
            raise QuotaError(
                f"pool {pool.name}: {len(names)} machines in one request, {MOST_REMOVED} is the most",
                hint="name fewer nodes at a time",
            )
        started = self._clock.now()
        query = {
            "instance_ids": json.dumps(names, separators=(",", ":")),
            "drain_node": "false",
            "release_node": "true",
        }
        act = partial(self._write, "RemoveNodePoolNodes", "DELETE", f"{self._path(pool.id)}/nodes", query=query)
        wrote = self._calls.once(act)
        return self._operation("remove-instances", started, wrote, pool=pool.id, instances=names)

    def masters(self) -> tuple[Instance, ...]:
        """Return the masters of a dedicated cluster."""
        found = tuple(answers.instance_of(each) for each in self._nodes("") if each.instance_role == "Master")
        if not found:
            raise NotOfferedError(f"the masters of {self._cluster} are Alibaba Cloud's own")
        return found

    def add_masters(self, machines: Sequence[str]) -> Operation:
        """Refuse: ACK's API has no call for it, also where the masters are the customer's."""
        raise NotOfferedError(
            f"ACK's API has no call that makes masters of {', '.join(machines)}", hint="look into ACK's console"
        )

    def remove_masters(self, instances: Sequence[Instance]) -> Operation:
        """Refuse, as above."""
        names = ", ".join(each.id for each in instances)
        raise NotOfferedError(f"ACK's API has no call that ends the masters {names}", hint="look into ACK's console")

    def poll(self, operation: Operation) -> Progress:
        """Ask the task, or look at the pool where there is none (any more)."""
        if operation.id:
            try:
                told = self._calls.read(
                    lambda: self._client.describe_task_info_with_options(operation.id, {}, self._runtime)
                )
            except CloudError as e:
                if not errors.is_no_task(e):
                    raise
            else:
                return answers.progress_of(told.body)
        return self._looked(operation)

    def _looked(self, operation: Operation) -> Progress:
        pool = next((each for each in self.pools() if operation.pool in {each.id, each.name}), None)
        if pool is None:
            gone = operation.change == "delete"
            return Progress(state="done") if gone else _failed(Trouble(message=f"there is no pool {operation.pool}"))
        if pool.state in {"changing", "deleting"} or operation.change == "delete":
            return Progress(state="running", told=pool.told)
        if operation.change == "set-autoscaling":
            return Progress(state="done", told=pool.told)
        if operation.change == "remove-instances":
            return self._looked_for(operation, pool)
        return self._looked_at_size(operation, pool)

    def _looked_for(self, operation: Operation, pool: Pool) -> Progress:
        left = [each for each in self.instances(pool) if each.id in operation.instances]
        if any(each.state == "leaving" for each in left):
            return Progress(state="running", told=f"{len(left)} machines left to end")
        if not left:
            return Progress(state="done", told=pool.told)
        return _failed(
            *(Trouble(what=each.id, message="it is still there") for each in left),
            partly=len(left) < len(operation.instances),
        )

    def _looked_at_size(self, operation: Operation, pool: Pool) -> Progress:
        if operation.target is not None and pool.target != operation.target:
            changed = Trouble(message=f"{operation.target} nodes were asked for, {pool.target} are asked for now")
            return Progress(state="failed", cause="conflict", troubles=(changed,))
        nodes = self._nodes(pool.id)
        machines = [answers.instance_of(each) for each in nodes]
        running = sum(each.state == "running" for each in machines)
        told = f"{running} of {pool.target} nodes"
        if any(each.state in {"starting", "leaving"} for each in machines):
            return Progress(state="running", told=told)
        if running == pool.target:
            return Progress(state="done", told=told)
        # An old failure tells nothing before ACK has had the time to begin.
        late = self._clock.now() - operation.started > _SKEW
        since = operation.started - _SKEW
        broken = [
            each
            for each, node in zip(machines, nodes, strict=True)
            if each.state == "failed" and (late or (answers.made_at(node) or since) >= since)
        ]
        if not broken:
            return Progress(state="running", told=told)
        return _failed(*(each.reason for each in broken if each.reason), partly=running > 0)

    def _grown(self, pool: Pool, size: int, started: datetime) -> Operation:
        now, count = self._must_find_pool(pool), size - pool.target
        if now.target != pool.target:
            raise ConflictError(f"pool {pool.name} had {pool.target} nodes, and {now.target} now")
        if count < 0:
            raise NotOfferedError(
                f"pool {pool.name} has no expected number of nodes that could be lowered",
                hint="remove nodes by their names, or set the expected number once in ACK's console",
            )
        if count == 0:
            return self._operation("set-size", started, Wrote(), pool=pool.id, target=size)
        if pool.id in self._unknown:
            raise AmbiguousError(
                f"pool {pool.name}: more nodes were asked for and the answer was lost; not asked for again",
                hint="look what came of it",
            )
        act = partial(self._write, "ScaleClusterNodePool", "POST", self._path(pool.id), body={"count": count})
        try:
            wrote = self._calls.once(act)
        except AmbiguousError:
            self._unknown.add(pool.id)
            raise
        return self._operation("set-size", started, wrote, pool=pool.id, target=size)

    def _detail(self, pool_id: str) -> Any:  # noqa: ANN401 - the SDK has no types
        ask = self._client.describe_cluster_node_pool_detail_with_options
        try:
            return self._calls.read(lambda: ask(self._cluster, pool_id, {}, self._runtime)).body
        except CloudError as e:
            if errors.is_no_pool(e):
                return None
            raise

    def _must_find(self, pool: Pool) -> Any:  # noqa: ANN401 - as above
        told = self._detail(pool.id)
        if told is None:
            raise CloudError(f"there is no pool {pool.name} any more")
        return told

    def _must_find_pool(self, pool: Pool) -> Pool:
        return answers.pool_of(self._must_find(pool))

    def _nodes(self, pool_id: str) -> list[Any]:
        found: list[Any] = []
        page = 1
        while True:
            ask = models.DescribeClusterNodesRequest(
                nodepool_id=pool_id or None, page_number=str(page), page_size=str(PAGE), state="all"
            )
            told = self._calls.read(
                partial(self._client.describe_cluster_nodes_with_options, self._cluster, ask, {}, self._runtime)
            ).body
            found += told.nodes or []
            if not told.nodes or len(found) >= ((told.page and told.page.total_count) or 0):
                return list({each.instance_id or each.node_name: each for each in found}.values())
            page += 1

    def _modify(self, pool_id: str, body: Mapping[str, Any]) -> partial[Wrote]:
        return partial(self._write, "ModifyClusterNodePool", "PUT", self._path(pool_id), body=body)

    def _path(self, pool_id: str = "") -> str:
        # Names and IDs have nothing in them that a path would need to quote: the model refuses such.
        return f"/clusters/{self._cluster}/nodepools" + (f"/{pool_id}" if pool_id else "")

    def _write(
        self,
        action: str,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Wrote:
        params = Params(
            action=action,
            version=VERSION,
            protocol="HTTPS",
            pathname=path,
            method=method,
            auth_type="AK",
            style="ROA",
            req_body_type="json",
            body_type="json",
        )
        told = self._client.call_api(params, OpenApiRequest(headers={}, query=query or {}, body=body), self._runtime)
        said = told["body"] if isinstance(told["body"], dict) else {}
        request = said.get("request_id") or said.get("requestId") or told["headers"].get("x-acs-request-id")
        return Wrote(said.get("task_id") or "", said.get("nodepool_id") or "", request or "")

    def _operation(
        self,
        change: Change,
        started: datetime,
        wrote: Wrote,
        *,
        pool: str,
        target: int | None = None,
        instances: tuple[str, ...] = (),
    ) -> Operation:
        return Operation(
            change=change,
            id=wrote.task,
            pool=pool,
            target=target,
            instances=instances,
            started=started,
            request=wrote.request,
        )


def _failed(*troubles: Trouble, partly: bool = False) -> Progress:
    return Progress(state="partial" if partly else "failed", cause="cloud", troubles=troubles)


def _config(doors: Doors) -> Config:
    config = Config(region_id=doors.cluster.region, credential=Credentials(), user_agent="scaler")
    address = urlsplit(doors.endpoint("ack"))
    if address.netloc:
        config.endpoint, config.protocol = address.netloc, address.scheme
    return config


DRIVER = Ack
