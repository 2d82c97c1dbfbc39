"""What TKE's API answers, as far as scaler reads it, and what its errors mean."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_pascal
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException

from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    QuotaError,
    ScalerError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)

CHAIN = (
    "TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY (and TENCENTCLOUD_TOKEN), ~/.tencentcloud/credentials, or the "
    "role of the CVM or pod that this runs in"
)
# In this order: RequestLimitExceeded is no LimitExceeded.
_MEANINGS: tuple[tuple[str, type[CloudError]], ...] = (
    (r"^RequestLimitExceeded", ThrottledError),
    (r"^(AuthFailure|UnauthorizedOperation|InvalidCredential)", CredentialsError),
    (r"NodePoolStateNotNormal|ClusterState|TaskAlreadyRunning|^ResourceInUse", ConflictError),
    (r"^LimitExceeded|Quota", QuotaError),
    (r"^ResourceInsufficient|SoldOut", SoldOutError),
)
_NEVER_SENT = re.compile(r"refused|NewConnectionError|NameResolution|Name or service not known|CERTIFICATE|No route")
_TRANSIENT = ("InternalError", "ServerNetworkError")


def meaning(code: str) -> type[CloudError]:
    """Return the kind of error that a code of TKE's is."""
    return next((kind for pattern, kind in _MEANINGS if re.search(pattern, code)), CloudError)


def translate(error: Exception) -> ScalerError | None:
    """Tell which error an exception of the SDK's is."""
    if isinstance(error, ValueError):
        return AmbiguousError(f"TKE answered what is not its JSON: {error}")
    if not isinstance(error, TencentCloudSDKException):
        return None
    code, request = str(error.get_code() or ""), str(error.get_request_id() or "")
    message = f"TKE: {_text(error.get_message())}"
    if code == "ClientNetworkError":
        if _NEVER_SENT.search(message):
            return UnreachableError(message, hint="check region, endpoints and the way to the cloud")
        return AmbiguousError(message, hint="scaler status shows what was done", code=code)
    kind = meaning(code)
    if kind is CredentialsError or code == "ClientSideError":
        return CredentialsError(message, hint=f"credentials come from {CHAIN}", code=code, request=request)
    transient = kind is CloudError and code.startswith(_TRANSIENT)
    return kind(message, code=code, request=request, transient=transient)


def _text(message: object) -> str:
    return message.decode(errors="replace") if isinstance(message, bytes) else str(message)


class Told(BaseModel):
    """A part of an answer: what is null there is as if it were not there, what scaler does not need is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_pascal)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, told: Any) -> Any:  # noqa: ANN401 - whatever the API sent
        return {name: value for name, value in told.items() if value is not None} if isinstance(told, dict) else told


class Counts(Told):
    """How many nodes of one origin a pool has."""

    total: int = 0


class Summary(Told):
    """How many nodes a pool has, by where they came from."""

    manually_added: Counts = Counts()
    autoscaling_added: Counts = Counts()


class Regular(Told):
    """A pool that stands on a scaling group of CVMs."""

    node_count_summary: Summary = Summary()
    autoscaling_group_status: str = ""
    max_nodes_num: int = 0
    min_nodes_num: int = 0
    desired_nodes_num: int = 0


class Scaling(Told):
    """Between which sizes a native pool is moved."""

    min_replicas: int = 0
    max_replicas: int = 0


class Native(Told):
    """A pool of native nodes."""

    scaling: Scaling = Scaling()
    enable_autoscaling: bool = False
    replicas: int = 0
    ready_replicas: int = 0
    instance_types: tuple[str, ...] = ()


class NodePool(Told):
    """A pool of any type."""

    node_pool_id: str
    name: str = ""
    type: str
    life_state: str = ""
    regular: Regular = Regular()
    native: Native = Native()


class NodePools(Told):
    """One page of pools."""

    node_pools: tuple[NodePool, ...] = ()
    total_count: int = 0


class Instance(Told):
    """A machine of the cluster."""

    instance_id: str
    instance_state: str = ""
    failed_reason: str = ""
    lan_i_p: str = ""


class Instances(Told):
    """One page of machines."""

    instance_set: tuple[Instance, ...] = ()
    total_count: int = 0


class Deleted(Told):
    """What a removal came to: a success in HTTP's terms, whatever it says."""

    succ_instance_ids: tuple[str, ...] = ()
    failed_instance_ids: tuple[str, ...] = ()
    not_found_instance_ids: tuple[str, ...] = ()
    request_id: str = ""


class Done(Told):
    """The answer to a write: nothing but the request's ID."""

    request_id: str = ""
    node_pool_id: str = ""


class ClusterTold(Told):
    """A cluster, as its own type."""

    cluster_type: str = ""
    cluster_status: str = ""


class Clusters(Told):
    """The clusters that were asked for."""

    clusters: tuple[ClusterTold, ...] = ()
