"""EKS and Auto Scaling on one port of loopback: moto's server, and what it lacks laid over it.

moto keeps nodegroups, groups and instances, and writes most answers. Laid over it: signatures and parameters are
checked; a nodegroup is CREATING, UPDATING or DELETING for a time and takes no change meanwhile; updates can be asked
about; min, max and size are judged together; a removal below the minimum is refused; launches fail and are told of as
scaling activities and as a DEGRADED nodegroup. What AWS' documents do not say is as guessed as the driver is.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.servers.base import Answer, CloudServer, FakePool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import eks_moto
    from tests.servers.base import Nodes, Request
    from tests.servers.eks_spec import Call

LABEL = "eks.amazonaws.com/nodegroup"
NOT_ACTIVE = "Nodegroup cannot be updated as it is currently not in Active State"
_WRITES = {"CreateNodegroup", "UpdateNodegroupConfig", "DeleteNodegroup", "TerminateInstanceInAutoScalingGroup"}
_NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
_FAULTS = {
    "eks": {
        "throttle": (429, "ThrottlingException", "Rate exceeded"),
        "conflict": (409, "ResourceInUseException", NOT_ACTIVE),
        "quota": (400, "ResourceLimitExceededException", "Nodes per managed nodegroup limit exceeded"),
        "broken": (503, "ServiceUnavailableException", "Service Unavailable"),
    },
    "autoscaling": {
        "throttle": (400, "Throttling", "Rate exceeded"),
        "conflict": (400, "ScalingActivityInProgress", "Activity is in progress and blocks this request"),
        "quota": (400, "LimitExceeded", "You have already reached a limit"),
        "broken": (500, "InternalFailure", "An internal error occurred"),
    },
}


class NoNodes:
    """Where no cluster is given: machines become no Nodes."""

    def add(self, name: str, provider_id: str, labels: dict[str, str]) -> None: ...

    def remove(self, name: str) -> None: ...


class EksServer(CloudServer):
    """One cluster; there may be one server in a process, since moto keeps its clouds there."""

    kind: ClassVar[str] = "eks"
    sizes: ClassVar[tuple[str, ...]] = ("UpdateNodegroupConfig",)
    removals: ClassVar[tuple[str, ...]] = ("TerminateInstanceInAutoScalingGroup",)
    cluster, region = "prod", "eu-central-1"
    key, secret = "AKIDSCALERTESTS", "not-a-secret-of-anyone"

    def __init__(self, nodes: Nodes | None = None) -> None:
        # moto and botocore take seconds to import: only where there is a server of EKS.
        from tests.servers import eks_moto, eks_spec  # noqa: PLC0415

        super().__init__()
        self._refused, self._verify, self._spec = eks_spec.Refused, eks_spec.verify, eks_spec.Spec()
        self.moto = eks_moto.Moto(self.region, self.cluster)
        self.fleet: eks_moto.MotoFleet = eks_moto.MotoFleet(self.moto, nodes or NoNodes(), self.faults)
        self.reset()

    def variables(self) -> dict[str, object]:
        """Return what the inventory says of the cluster."""
        return {"kind": "eks", "region": self.region, "cluster_id": self.cluster}

    def environment(self, home: Path) -> dict[str, str]:
        """Return how the command line finds this server, and who it is there."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(home / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "aws-credentials"),
            "SCALER_ENDPOINT_EKS": self.url,
            "SCALER_ENDPOINT_AUTOSCALING": self.url,
        }

    def stranger(self) -> dict[str, str]:
        """Return the credentials of somebody whom AWS does not know."""
        return {"AWS_SECRET_ACCESS_KEY": "wrong"}

    def add_pool(self, name: str, size: int, **more: Any) -> FakePool:
        """Let there be a nodegroup with all its machines."""
        with self._lock:
            return self.fleet.put(FakePool(name, name, LABEL, name, size, **more))

    def size_asked(self, request: Request) -> int:
        """Return the size that an update asked for, -1 where it was of bounds alone."""
        return int(request.json["scalingConfig"].get("desiredSize", -1))

    def removed(self, request: Request) -> list[str]:
        """Return the instance that a termination ends."""
        return parse_qs(request.body.decode())["InstanceId"]

    def reset(self) -> None:
        """Begin anew: a cluster without nodegroups, no record, no faults."""
        with self._lock:
            self.forget()
            self.moto.reset()
            self.fleet.pools.clear()
            self._updates: dict[str, dict[str, Any]] = {}
            self._tokens: dict[str, Any] = {}

    def let_pass(self) -> None:
        """Let all that takes its time come to its end now."""
        self.fleet.let_pass()

    def action(self, request: Request) -> str:
        return self._spec.operation(request)

    def writes(self, request: Request) -> bool:
        return request.action in _WRITES

    def fault(self, fault: str, request: Request) -> Answer:
        service = "autoscaling" if _is_form(request) else "eks"
        return _refusal(service, *_FAULTS[service][fault])

    def answer(self, request: Request) -> Answer:
        service = "autoscaling" if _is_form(request) else "eks"
        try:
            self._verify(request, self.key, self.secret, self.region)
            call = self._spec.call(request)
            self._find_cluster(call)
            self.fleet.settle()
            self._tell()
            own: Callable[[Call, Request], Answer] | None = getattr(self, f"_{call.operation}", None)
            return own(call, request) if own else self._moto(request)
        except self._refused as e:
            return _refusal(service, e.status, e.code, e.message, **e.more)

    def status(self, pool: FakePool) -> str:
        """Return EKS' word for what a nodegroup does."""
        if pool.state == "deleting":
            return "DELETING"
        issues = bool(pool.more["issues"])
        if pool.more.get("new"):
            if not pool.busy:
                pool.more["new"] = False
                pool.more["stillborn"] = issues
            else:
                return "CREATING"
        if pool.more.get("stillborn"):
            return "CREATE_FAILED"
        if self.fleet.now() < pool.more.get("until", 0):
            return "UPDATING"
        return "DEGRADED" if issues else "ACTIVE"

    def _tell(self) -> None:
        """Let moto's nodegroups say what the fleet is; their size follows the groups' when these have come to rest."""
        for pool in self.fleet.pools.values():
            if not pool.busy:
                pool.more["told"] = pool.target
            one = self.moto.nodegroup(pool.id)
            one.status = self.status(pool)
            one.health = {"issues": pool.more["issues"]}
            one.scaling_config = {"minSize": pool.min, "maxSize": pool.max, "desiredSize": pool.more["told"]}

    def _moto(self, request: Request) -> Answer:
        answer = self.moto.answer(request)
        return answer._replace(headers={**answer.headers, "x-amzn-RequestId": str(uuid.uuid4())})

    def _find_cluster(self, call: Call) -> None:
        asked = call.params.get("name" if call.operation == "DescribeUpdate" else "clusterName", self.cluster)
        if asked != self.cluster:
            raise self._refused(404, "ResourceNotFoundException", f"No cluster found for name: {asked}.")

    def _pool(self, call: Call) -> FakePool:
        if call.params["clusterName"] != self.cluster:
            raise self._refused(
                404, "ResourceNotFoundException", f"No cluster found for name: {call.params['clusterName']}."
            )
        pool = self.fleet.pools.get(call.params["nodegroupName"])
        if pool is None:
            raise self._refused(
                404,
                "ResourceNotFoundException",
                f"No node group found for name: {call.params['nodegroupName']}.",
                clusterName=self.cluster,
                nodegroupName=call.params["nodegroupName"],
            )
        return pool

    def _judge(self, low: int, high: int, size: int) -> None:
        """Refuse as EKS does what does not go together."""
        wrong = ""
        if low > high:
            wrong = f"Minimum capacity {low} can't be greater than maximum size {high}"
        elif low > size:
            wrong = f"Minimum capacity {low} can't be greater than desired size {size}"
        elif size > high:
            wrong = f"desiredSize can't be greater than maxSize {high}"
        if wrong:
            raise self._refused(400, "InvalidParameterException", wrong)

    def _CreateNodegroup(self, call: Call, request: Request) -> Answer:  # noqa: N802 - AWS' name, as of those below
        token = call.params.get("clientRequestToken", "")
        if token not in self._tokens:
            scaling = {"minSize": 1, "maxSize": 2, "desiredSize": 2} | call.params.get("scalingConfig", {})
            low, high, size = scaling["minSize"], scaling["maxSize"], scaling["desiredSize"]
            self._judge(low, high, size)
            answer = self._moto(request)
            if answer.status >= 400:
                return answer
            name = call.params["nodegroupName"]
            one = self.moto.nodegroup(name)
            one.update_config = call.params.get("updateConfig")
            one.node_repair_config = call.params.get("nodeRepairConfig")
            pool = self.fleet.put(FakePool(name, name, LABEL, name, 0, low, high), made=True)
            pool.more["new"] = True
            self.fleet.want(pool, size)
            pool.more["told"] = size
            self._tokens[token] = name
        self._tell()
        where = f"/clusters/{self.cluster}/node-groups/{self._tokens[token]}"
        got = {name: value for name, value in request.headers.items() if name != "content-type"}
        asked = {**request.__dict__, "method": "GET", "path": where, "body": b"", "headers": got}
        return self._moto(type(request)(**asked))

    def _UpdateNodegroupConfig(self, call: Call, request: Request) -> Answer:  # noqa: ARG002, N802
        pool = self._pool(call)
        token = call.params.get("clientRequestToken", "")
        if token not in self._tokens:
            if self.status(pool) not in {"ACTIVE", "DEGRADED"}:
                raise self._refused(409, "ResourceInUseException", NOT_ACTIVE, nodegroupName=pool.id)
            asked = call.params.get("scalingConfig", {})
            size = asked.get("desiredSize", pool.target)
            low, high = asked.get("minSize", pool.min), asked.get("maxSize", pool.max)
            self._judge(low, high, size)
            pool.min, pool.max = low, high
            pool.more |= {"until": self.fleet.now() + self.fleet.seconds, "told": size}
            names = {"minSize": "MinSize", "maxSize": "MaxSize", "desiredSize": "DesiredSize"}
            update = {
                "id": str(uuid.uuid4()),
                "status": "InProgress",
                "type": "ConfigUpdate",
                "params": [{"type": names[name], "value": str(value)} for name, value in asked.items()],
                "createdAt": time.time(),
                "errors": [],
            }
            if size != pool.target:
                self.fleet.want(pool, size)
            self._updates[str(update["id"])] = {"update": update, "pool": pool.id, "until": pool.more["until"]}
            self._tokens[token] = update
        return _json({"update": self._tokens[token]})

    def _DescribeUpdate(self, call: Call, request: Request) -> Answer:  # noqa: ARG002, N802
        kept = self._updates.get(call.params["updateId"])
        if kept is None or kept["pool"] != call.params.get("nodegroupName"):
            message = f"No update found for ID: {call.params['updateId']}"
            raise self._refused(404, "ResourceNotFoundException", message)
        update: dict[str, Any] = kept["update"]
        if update["status"] == "InProgress" and self.fleet.now() >= kept["until"]:
            update["status"] = "Successful"
        return _json({"update": update})

    def _DeleteNodegroup(self, call: Call, request: Request) -> Answer:  # noqa: N802
        pool = self._pool(call)
        if pool.state == "deleting":
            message = f"Nodegroup {pool.id} is being deleted"
            raise self._refused(409, "ResourceInUseException", message, nodegroupName=pool.id)
        self.fleet.delete(pool)
        self._tell()
        asked = {**request.__dict__, "method": "GET"}
        return self._moto(type(request)(**asked))

    def _DescribeAutoScalingGroups(self, call: Call, request: Request) -> Answer:  # noqa: N802
        most = int(call.params.get("MaxRecords", 50))
        if most > 100 or len(call.params.get("AutoScalingGroupNames", [])) > most:
            raise self._refused(400, "ValidationError", f"only {most} names may be given")
        return self._moto(request)

    def _DescribeScalingActivities(self, call: Call, request: Request) -> Answer:  # noqa: ARG002, N802
        group, most = call.params.get("AutoScalingGroupName"), int(call.params.get("MaxRecords", 100))
        if most > 100:
            raise self._refused(400, "ValidationError", "MaxRecords may be 100")
        every = [activity for pool in self.fleet.pools.values() for activity in pool.more["activities"]]
        every = [activity for activity in every if group in {None, activity["AutoScalingGroupName"]}]
        at = int(call.params.get("NextToken", 0))
        shown = "".join(f"<member>{_xml(activity)}</member>" for activity in every[at : at + most])
        token = f"<NextToken>{at + most}</NextToken>" if at + most < len(every) else ""
        return _result("DescribeScalingActivities", f"<Activities>{shown}</Activities>{token}")

    def _TerminateInstanceInAutoScalingGroup(self, call: Call, request: Request) -> Answer:  # noqa: ARG002, N802
        name = call.params.get("InstanceId", "")
        found = self.fleet.machine(name)
        if not found or found[1].state not in {"starting", "running"}:
            message = f"Instance Id not found - No managed instance found for instance ID: {name}"
            raise self._refused(400, "ValidationError", message)
        pool, machine = found
        if name in self.faults.refuse:
            raise self._refused(400, "ValidationError", f"The instance {name} is not in a correct state.")
        lower = call.params["ShouldDecrementDesiredCapacity"]
        if lower and pool.target <= pool.min:
            message = (
                f"Currently, desiredSize equals minSize ({pool.min}). Terminating instance without replacement will"
                " violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or"
                " lower group's min size."
            )
            raise self._refused(400, "ValidationError", message)
        self.fleet.leave(machine)
        pool.target -= 1 if lower else 0
        if not lower:
            self.fleet.want(pool, pool.target)
        activity = {
            "ActivityId": str(uuid.uuid4()),
            "AutoScalingGroupName": self.moto.group(pool).name,
            "Description": f"Terminating EC2 instance: {name}",
            "Cause": f"instance {name} was taken out of service in response to a user request",
            "StartTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "StatusCode": "InProgress",
            "Progress": "0",
        }
        return _result("TerminateInstanceInAutoScalingGroup", f"<Activity>{_xml(activity)}</Activity>")


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _json(body: Any) -> Answer:
    return Answer(200, body, {"x-amzn-RequestId": str(uuid.uuid4())})


def _refusal(service: str, status: int, code: str, message: str, **more: str) -> Answer:
    request = str(uuid.uuid4())
    if service == "eks":
        return Answer(status, {"message": message, **more}, {"x-amzn-ErrorType": code, "x-amzn-RequestId": request})
    blame = "Sender" if status < 500 else "Receiver"
    error = f"<Error><Type>{blame}</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    body = f'<ErrorResponse xmlns="{_NAMESPACE}">{error}<RequestId>{request}</RequestId></ErrorResponse>'
    return Answer(status, body.encode(), {"Content-Type": "text/xml"})


def _result(operation: str, inner: str) -> Answer:
    about = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    result = f"<{operation}Result>{inner}</{operation}Result>{about}"
    body = f'<{operation}Response xmlns="{_NAMESPACE}">{result}</{operation}Response>'
    return Answer(200, body.encode(), {"Content-Type": "text/xml"})


def _xml(activity: dict[str, Any]) -> str:
    shown = {name: value for name, value in activity.items() if name[0].isupper()}
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in shown.items())


SERVER = EksServer
