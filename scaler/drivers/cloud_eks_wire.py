"""The requests to EKS and Auto Scaling: each function of one is given to ``Calls`` alone, pages are followed here."""

from __future__ import annotations

import uuid
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from scaler.drivers import cloud_eks_told as told
from scaler.drivers.cloud_eks_errors import missing, translate
from scaler.errors import CloudError
from scaler.model.clouds import Eks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_eks import EKSClient
    from mypy_boto3_eks.type_defs import NodegroupScalingConfigTypeDef

    from scaler.drivers.cloud import Doors

# What one request of Auto Scaling takes without being asked for more.
_GROUPS = 50
_PAGE = 100
CONNECT_SECONDS, READ_SECONDS = 10, 60


class Wire:
    """Asks AWS about the nodegroups of one cluster, and tells it what they shall be; raises as ``Calls`` does."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self.calls = doors.make_calls(translate)
        self.cluster = doors.cluster.cluster_id

    @cached_property
    def eks(self) -> EKSClient:
        """EKS' client. It is made within the first request, so that what its making raises is translated too."""
        return self._session.client("eks", endpoint_url=self._doors.endpoint("eks") or None, config=_config())

    @cached_property
    def scaling(self) -> AutoScalingClient:
        """Auto Scaling's client, made as EKS' is."""
        endpoint = self._doors.endpoint("autoscaling") or None
        return self._session.client("autoscaling", endpoint_url=endpoint, config=_config())

    @cached_property
    def _session(self) -> boto3.Session:
        cluster = self._doors.cluster
        profile = cluster.profile if isinstance(cluster, Eks) else ""
        return boto3.Session(region_name=cluster.region, profile_name=profile or None)

    def names(self) -> Iterator[str]:
        """Yield the names of all nodegroups."""
        for page in self._pages(
            lambda more: self.eks.list_nodegroups(clusterName=self.cluster, maxResults=_PAGE, **more), "nextToken"
        ):
            yield from page["nodegroups"]

    def described(self, name: str) -> Mapping[str, Any] | None:
        """Return a nodegroup as EKS describes it; None where there is none."""
        try:
            answer = self.calls.read(lambda: self.eks.describe_nodegroup(clusterName=self.cluster, nodegroupName=name))
        except CloudError as e:
            if missing(e):
                return None
            raise
        return answer["nodegroup"]

    def nodegroup(self, name: str) -> told.Nodegroup | None:
        """Return a nodegroup; None where there is none."""
        found = self.described(name)
        return told.nodegroup(found) if found else None

    def groups(self, nodegroups: Sequence[told.Nodegroup]) -> list[told.Group]:
        """Return what is below each of these nodegroups, in their order."""
        names = [name for one in nodegroups for name in one.groups]
        found: dict[str, Mapping[str, Any]] = {}
        for at in range(0, len(names), _GROUPS):
            found |= {group["AutoScalingGroupName"]: group for group in self._groups(names[at : at + _GROUPS])}
        return [told.group([found[name] for name in one.groups if name in found]) for one in nodegroups]

    def _groups(self, names: list[str]) -> Iterator[Mapping[str, Any]]:
        for page in self._pages(
            lambda more: self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=names, **more), "NextToken"
        ):
            yield from page["AutoScalingGroups"]

    def activities(self, one: told.Nodegroup, since: datetime) -> list[told.Activity]:
        """Return the scaling activities of a nodegroup that began at ``since`` or later."""
        return [activity for name in one.groups for activity in self._activities(name, since)]

    def _activities(self, group: str, since: datetime) -> Iterator[told.Activity]:
        for page in self._pages(
            lambda more: self.scaling.describe_scaling_activities(AutoScalingGroupName=group, MaxRecords=_PAGE, **more),
            "NextToken",
        ):
            found = [told.activity(activity) for activity in page["Activities"]]
            yield from (activity for activity in found if activity.started >= since)
            # The newest come first.
            if found and found[-1].started < since:
                return

    def _pages(self, ask: Callable[[dict[str, Any]], Mapping[str, Any]], token: str) -> Iterator[Mapping[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self.calls.read(partial(ask, more))
            yield page
            if not page.get(token):
                return
            more = {token: page[token]}

    def update(self, name: str, update: str) -> Mapping[str, Any] | None:
        """Return what has come of an update; None where EKS knows it no more."""
        try:
            answer = self.calls.read(
                lambda: self.eks.describe_update(name=self.cluster, updateId=update, nodegroupName=name)
            )
        except CloudError as e:
            if missing(e):
                return None
            raise
        return answer["update"]

    def scale(self, name: str, scaling: NodegroupScalingConfigTypeDef) -> Mapping[str, Any]:
        """Set what ``scaling`` names, and nothing else; all repetitions are one request to EKS, by their token."""
        token = str(uuid.uuid4())
        return self.calls.absolute(
            lambda: self.eks.update_nodegroup_config(
                clusterName=self.cluster, nodegroupName=name, scalingConfig=scaling, clientRequestToken=token
            )
        )

    def writable(self) -> frozenset[str]:
        """Return the fields of a nodegroup that its making takes, as far as this SDK knows them."""
        model = self.eks.meta.service_model.operation_model("CreateNodegroup")
        return frozenset(model.input_shape.members if model.input_shape else ())

    def create(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a nodegroup; all repetitions are one request to EKS, by their token."""
        whole: dict[str, Any] = {**body, "clusterName": self.cluster, "clientRequestToken": str(uuid.uuid4())}
        return self.calls.absolute(lambda: self.eks.create_nodegroup(**whole))

    def delete(self, name: str) -> Mapping[str, Any] | None:
        """Delete a nodegroup; None where there is none."""
        try:
            return self.calls.absolute(lambda: self.eks.delete_nodegroup(clusterName=self.cluster, nodegroupName=name))
        except CloudError as e:
            if missing(e):
                return None
            raise

    def end(self, instance: str) -> Mapping[str, Any]:
        """End one instance and lower its group's size with it."""
        return self.calls.once(
            lambda: self.scaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=True
            )
        )


def request_of(answer: Mapping[str, Any] | None) -> str:
    """Return the ID of the request that this answers."""
    return str(answer["ResponseMetadata"].get("RequestId", "")) if answer else ""


def _config() -> Config:
    # One attempt: how requests are repeated is decided in scaler.drivers.cloud_calls alone.
    return Config(
        retries={"total_max_attempts": 1},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        user_agent_extra="scaler",
    )
