"""moto's own nodegroups, Auto Scaling groups and instances, in this process, and time that passes for them.

Imported only by the server of EKS, when there is one: moto takes seconds.
"""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from moto.backends import get_backend
from moto.eks import models, utils
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.servers.base import Answer, FakePool, Fleet, Machine

if TYPE_CHECKING:
    from tests.servers.base import Faults, Nodes, Request

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/node"
# AWS' words but for the last four, which the tests of all clouds look for.
SOLD_OUT = (
    "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently do not have sufficient m5.large"
    " capacity in the Availability Zone you requested ({zone}): it is sold out."
)


class Moto:
    """moto's server without its listener, and the doors behind it."""

    def __init__(self, region: str, cluster: str) -> None:
        self.cluster = cluster
        # It reads all regions of the world anew for each role.
        vars(models)["validate_role_arn"] = cache(utils.validate_role_arn)
        # Its hundreds of images take seconds, and nobody looks at one.
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        # moto's types are looser than its values.
        self.eks: Any = get_backend("eks")[ACCOUNT][region]
        self.scaling: Any = get_backend("autoscaling")[ACCOUNT][region]
        self.ec2: Any = get_backend("ec2")[ACCOUNT][region]
        self._app = DomainDispatcherApplication(create_backend_app)
        self.subnets: dict[str, str] = {}

    def reset(self) -> None:
        """Let there be the empty cluster and nothing else."""
        self.eks.reset()
        self.scaling.reset()
        self.ec2.reset()
        self.subnets = {subnet.availability_zone: subnet.id for subnet in self.ec2.describe_subnets()}
        self.eks.create_cluster(
            self.cluster, f"arn:aws:iam::{ACCOUNT}:role/eks", {"subnetIds": [*self.subnets.values()]}
        )
        self.scaling.create_launch_configuration(
            "nodes", "ami-0123456789abcdef0", None, "", "", [], "", "m5.large", False, None, None, False, False, []
        )

    def answer(self, request: Request) -> Answer:
        """Let moto answer a request as it came."""
        builder = EnvironBuilder(
            path=request.path,
            method=request.method,
            query_string=urlencode(request.query, doseq=True),
            headers=[(name, value) for name, value in request.headers.items() if name != "content-length"],
            data=request.body,
        )
        body, status, headers = run_wsgi_app(self._app, builder.get_environ(), buffered=True)
        kept = {"x-amzn-errortype", "content-type"}
        told = {name: value for name, value in headers.items() if name.lower() in kept}
        return Answer(int(status.split()[0]), b"".join(body), told)

    def keep(self, names: set[str]) -> None:
        """Let only these nodegroups be there."""
        for name in set(self.eks.clusters[self.cluster].nodegroups) - names:
            gone = self.eks.delete_nodegroup(self.cluster, name)
            self.scaling.autoscaling_groups.pop(gone.resources["autoScalingGroups"][0]["name"], None)

    def nodegroup(self, name: str) -> Any:
        """Return moto's nodegroup; None where there is none."""
        return self.eks.clusters[self.cluster].nodegroups.get(name)

    def group(self, pool: FakePool) -> Any:
        """Return moto's Auto Scaling group of a nodegroup, made where there is none yet."""
        name = self.nodegroup(pool.id).resources["autoScalingGroups"][0]["name"]
        if name not in self.scaling.autoscaling_groups:
            # The tags are those that EKS itself sets, on every group.
            tags = {
                "eks:cluster-name": self.cluster,
                "eks:nodegroup-name": pool.id,
                "k8s.io/cluster-autoscaler/enabled": "true",
                f"k8s.io/cluster-autoscaler/{self.cluster}": "owned",
            }
            told = [
                {
                    "Key": key,
                    "Value": value,
                    "PropagateAtLaunch": "true",
                    "ResourceId": name,
                    "ResourceType": "auto-scaling-group",
                }
                for key, value in tags.items()
            ]
            subnets = ",".join(self.subnets[zone] for zone in pool.zones)
            self.scaling.create_auto_scaling_group(
                name, [], 0, pool.max, pool.min, "nodes", {}, subnets, None, None, "EC2", [], [], None, [], told
            )
        return self.scaling.autoscaling_groups[name]


class MotoFleet(Fleet):
    """A fleet whose machines are moto's instances: a machine has one from its start until it has left."""

    def __init__(self, moto: Moto, nodes: Nodes, faults: Faults) -> None:
        super().__init__(nodes, faults, lambda machine: f"aws:///{machine.zone}/{machine.id}")
        self._moto = moto

    def put(self, pool: FakePool, size: int | None = None, *, made: bool = False) -> FakePool:
        """Let ``pool`` be there, as a nodegroup of moto's, which a request may have ``made``."""
        self._moto.keep({*self.pools, pool.id} if made else set(self.pools))
        if not set(pool.zones) <= set(self._moto.subnets):
            pool.zones = tuple(self._moto.subnets)
        if not self._moto.nodegroup(pool.id):
            scaling = {"minSize": pool.min, "maxSize": pool.max, "desiredSize": pool.target}
            subnets = [self._moto.subnets[zone] for zone in pool.zones]
            self._moto.eks.create_nodegroup(self._moto.cluster, ROLE, pool.id, subnets, scaling, labels={"team": "web"})
        pool.more |= {"told": pool.target, "issues": [], "activities": []}
        super().put(pool, size)
        pool.more["activities"].clear()
        return pool

    def want(self, pool: FakePool, size: int, *, sold_out: str = SOLD_OUT) -> None:
        """Begin to bring ``pool`` to ``size``; what is sold out has never been an instance."""
        super().want(pool, size, sold_out=sold_out)
        for machine in pool.machines:
            if machine.reason and machine.state == "starting":
                self._forget(pool, machine)

    def leave(self, machine: Machine) -> None:
        """Begin to end one machine."""
        super().leave(machine)
        found = self.machine(machine.id)
        if found and (state := self._state(found[0], machine)):
            state.lifecycle_state = "Terminating"

    def settle(self) -> None:
        """Let everything that is due happen, and let moto know how large the groups are."""
        super().settle()
        self._moto.keep(set(self.pools))
        for pool in self.pools.values():
            group = self._moto.group(pool)
            group.desired_capacity, group.min_size, group.max_size = pool.target, pool.min, pool.max

    def _start(self, pool: FakePool) -> Machine:
        machine = super()._start(pool)
        group = self._moto.group(pool)
        # moto puts all instances into the first subnet: it is another one each time.
        zones = sorted(pool.zones, key=lambda zone: zone != machine.zone)
        group.vpc_zone_identifier = ",".join(self._moto.subnets[zone] for zone in zones)
        group.replace_autoscaling_group_instances(1, group.get_propagated_tags())
        state = group.instance_states[-1]
        state.lifecycle_state = "Pending"
        machine.id, machine.node = state.instance.id, state.instance.private_dns_name
        _begin(pool, machine, group.name)
        return machine

    def _come_to(self, pool: FakePool, machine: Machine) -> None:
        was = machine.state
        super()._come_to(pool, machine)
        if was == "leaving":
            self._forget(pool, machine)
            return
        _end(pool, machine)
        if machine.state == "failed":
            pool.machines.remove(machine)
            name = self._moto.group(pool).name
            reason = machine.reason.format(zone=machine.zone)
            issue = {"code": "AsgInstanceLaunchFailures", "message": reason, "resourceIds": [name]}
            pool.more["issues"] = [issue]
        elif state := self._state(pool, machine):
            state.lifecycle_state = "InService"

    def _state(self, pool: FakePool, machine: Machine) -> Any:
        states = self._moto.group(pool).instance_states
        return next((state for state in states if state.instance.id == machine.id), None)

    def _forget(self, pool: FakePool, machine: Machine) -> None:
        if state := self._state(pool, machine):
            self._moto.group(pool).instance_states.remove(state)
            self._moto.ec2.terminate_instances([machine.id])


def _begin(pool: FakePool, machine: Machine, group: str) -> None:
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group,
        "Description": f"Launching a new EC2 instance: {machine.id}",
        "Cause": "an instance was started in response to a difference between desired and actual capacity",
        "StartTime": _now(),
        "StatusCode": "InProgress",
        "Progress": "30",
        "Details": json.dumps({"Availability Zone": machine.zone}),
        "machine": machine.id,
    }
    pool.more["activities"].insert(0, activity)


def _end(pool: FakePool, machine: Machine) -> None:
    for activity in pool.more["activities"]:
        if activity.get("machine") == machine.id:
            activity |= {"EndTime": _now(), "Progress": "100", "StatusCode": "Successful"}
            if machine.reason:
                reason = machine.reason.format(zone=machine.zone)
                told = "Launching a new EC2 instance.  Status Reason: " + reason
                activity |= {"StatusCode": "Failed", "StatusMessage": reason[:255], "Description": told}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
