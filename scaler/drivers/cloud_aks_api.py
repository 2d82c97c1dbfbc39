"""What AKS' answers mean: its errors, its pools and machines, and the body that a write takes.

Azure Resource Manager is one API for everything: ``error.code`` is what tells errors apart, the SDK's classes do not
(each 409 is a ResourceExistsError). What a scale set could not start comes wrapped in AKS' own code, and the code of
Compute stands somewhere in its message.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    IncompleteReadError,
    ServiceRequestError,
    ServiceResponseError,
)

from scaler.drivers import cloud_calls
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    NotOfferedError,
    QuotaError,
    ScalerError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)
from scaler.model.pools import Instance, Pool, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from azure.mgmt.containerservice.models import AgentPool, Machine, ScaleProfile

    from scaler.model.pools import Autoscaling, Cause, State

LABEL = "kubernetes.azure.com/agentpool"
CHAIN = (
    "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, workload identity, managed identity or az login, as "
    "Azure's DefaultAzureCredential finds them"
)
_LOOK = "scaler status shows what was done"
# In this order: Compute's code for a quota is OperationNotAllowed too, so the quota is looked for first.
_KINDS: tuple[tuple[re.Pattern[str], type[CloudError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"quota|SubnetIsFull|InsufficientSubnetSize|CountLimit|LimitReached|LimitExceeded", QuotaError),
        (r"AllocationFailed|SkuNotAvailable|Overconstrained|sufficient capacity", SoldOutError),
        (r"EtagMismatch|Precondition|AnotherOperation|OperationPreempted|in progress|Conflict", ConflictError),
        (r"AuthorizationFailed", CredentialsError),
    )
)
_REQUEST_HEADERS = ("x-ms-request-id", "x-ms-correlation-request-id")
_CLUSTER_GONE = re.compile(r"managedClusters/[^/']+'|ParentResource|ResourceGroup\w*NotFound|SubscriptionNotFound")
_UNAUTHENTICATED, _FORBIDDEN, _CONFLICT, _STALE, _THROTTLED = 401, 403, 409, 412, 429
_TIMEOUT, _SERVER = 408, 500
# Told with each pool and not taken: AKS' words about a pool, and what rolls its nodes back to an older image.
_NOT_WRITTEN = ("status", "virtualMachineNodesStatus", "nodeImageVersion")
_REST: dict[str, State] = {"succeeded": "ready", "failed": "degraded", "canceled": "degraded", "deleting": "deleting"}


class Refusal(NamedTuple):
    """What an answer of ARM's says that is wrong."""

    code: str
    message: str
    details: tuple[Refusal, ...] = ()
    target: str = ""

    @property
    def kind(self) -> type[CloudError]:
        """The kind of error that the code is, or one that stands in the message."""
        return _kind(" ".join(trouble.sentence for trouble in self.troubles))

    @property
    def cause(self) -> Cause:
        """The kind of error, as an operation's end tells it."""
        return cloud_calls.cause_of(self.kind)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The error and its details, each as a trouble."""
        return (self.trouble(), *(each.trouble(each.target) for each in self.details))

    def trouble(self, what: str = "") -> Trouble:
        """Return it as a trouble with ``what``."""
        return Trouble(what=what, code=self.code, message=self.message)


def _kind(text: str) -> type[CloudError]:
    return next((kind for pattern, kind in _KINDS if pattern.search(text)), CloudError)


def cause_of(troubles: Iterable[Trouble]) -> Cause:
    """Return the kind of error that these troubles are, as an operation's end tells it."""
    return cloud_calls.cause_of(_kind(" ".join(trouble.sentence for trouble in troubles)))


def refusal(told: Mapping[str, Any]) -> Refusal:
    """Read an error; AKS itself leaves out the ``error`` that ARM wraps around it."""
    inner = told.get("error") or told
    return Refusal(
        code=str(inner.get("code") or ""),
        message=_line(str(inner.get("message") or "AKS does not say why")),
        details=tuple(refusal(each) for each in inner.get("details") or ()),
        target=str(inner.get("target") or ""),
    )


def request_id(headers: Mapping[str, str]) -> str:
    """Return the request's ID that Microsoft's support asks for."""
    return next((headers[name] for name in _REQUEST_HEADERS if headers.get(name)), "")


def translate(error: Exception) -> ScalerError | None:
    """Tell which error an exception of the SDK's is."""
    if isinstance(error, HttpResponseError):
        return _of_answer(error)
    if isinstance(error, json.JSONDecodeError):
        return AmbiguousError("AKS answered what is not its JSON", hint=_LOOK)
    if not isinstance(error, AzureError):
        return None
    message = f"AKS: {_line(error.message)}"
    if isinstance(error, ServiceRequestError) and _never_sent(error):
        return UnreachableError(message, hint="check endpoints and the way to the cloud")
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return AmbiguousError(message, hint=_LOOK)
    return CloudError(message)


def _never_sent(error: ServiceRequestError) -> bool:
    """Tell whether nothing can have gone out; the SDK calls so what breaks within TLS at any time."""
    inner = error.inner_exception
    return "SSL" not in type(inner).__name__ or "CERTIFICATE" in str(inner)


def _line(text: str) -> str:
    return " ".join(text.split())


def _of_answer(error: HttpResponseError) -> ScalerError:
    # The SDK's type of a response names what all of them have, and leaves the headers out.
    status, headers = error.status_code or 0, getattr(error.response, "headers", None) or {}
    request = request_id(headers)
    no_credentials = isinstance(error, ClientAuthenticationError) and not status
    cut = isinstance(error, IncompleteReadError) or (not status and not no_credentials)
    if cut or (isinstance(error, DecodeError) and status < _SERVER):
        return AmbiguousError(f"AKS: {_line(error.message)}", hint=_LOOK, request=request)
    told = _told(error)
    message, code = "AKS: " + "; ".join([told.message, *(each.sentence for each in told.troubles[1:])]), told.code
    if status in {_UNAUTHENTICATED, _FORBIDDEN} or no_credentials:
        return CredentialsError(message, hint=f"credentials come from {CHAIN}", code=code, request=request)
    if status == _THROTTLED:
        return ThrottledError(message, code=code, request=request)
    if status == _TIMEOUT or status >= _SERVER:
        return CloudError(message, code=code or str(status), request=request, transient=True)
    kind = told.kind
    if status == _STALE or (status == _CONFLICT and kind is CloudError and code == "OperationNotAllowed"):
        kind = ConflictError
    return kind(message, code=code or str(status or ""), request=request)


def _told(error: HttpResponseError) -> Refusal:
    try:
        told = json.loads(error.response.text()) if error.response is not None else None
    except ValueError:
        told = None
    return refusal(told) if isinstance(told, dict) else Refusal("", _line(error.message))


def is_of_cluster(error: HttpResponseError) -> bool:
    """Tell whether what a 404 is about is not the pool, but the cluster or what that is in."""
    told = _told(error)
    return bool(_CLUSTER_GONE.search(f"{told.code} {told.message}"))


def pool_of(told: AgentPool, machines: Iterable[Machine]) -> Pool:
    """Return a pool; AKS has no count of the machines that are there, so they are counted."""
    about = told.properties
    if about is None:
        raise CloudError(f"AKS told nothing of pool {told.name}")
    name, state = str(told.name), about.provisioning_state or "Succeeded"
    stopped = about.power_state is not None and about.power_state.code == "Stopped"
    wrong = about.status.provisioning_error if about.status else None
    troubles = [*refusal(wrong.as_dict()).troubles] if wrong else []
    if stopped:
        troubles.append(Trouble(message="the pool is stopped; start it first"))
    scale = about.virtual_machines_profile.scale if about.virtual_machines_profile else None
    low, high, size = about.min_count, about.max_count, about.count or 0
    autoscaled = bool(about.enable_auto_scaling)
    if scale is not None:
        low, high, autoscaled = _bounds(scale)
        groups = about.virtual_machine_nodes_status if autoscaled else scale.manual
        size = sum(group.count or 0 for group in groups or ())
    rest = _REST.get(state.lower(), "changing")
    return Pool(
        id=name,
        name=name,
        target=size,
        actual=sum(1 for _ in machines),
        # Without its autoscaler AKS keeps no bounds, whatever it still tells.
        min=low if autoscaled else None,
        max=high if autoscaled else None,
        autoscaled=autoscaled,
        state="degraded" if stopped and rest == "ready" else rest,
        told="Stopped" if stopped else state,
        zones=tuple(about.availability_zones or ()),
        machine=about.vm_size or "",
        label=LABEL,
        value=name,
        etag=about.e_tag or "",
        troubles=tuple(troubles),
    )


def _bounds(scale: ScaleProfile) -> tuple[int, int, bool]:
    groups = scale.autoscale or []
    return sum(each.min_count or 0 for each in groups), sum(each.max_count or 0 for each in groups), bool(groups)


def instance_of(told: Machine, pool: Pool) -> Instance:
    """Return a machine; AKS lists what its scale set has, and does not tell how each one is."""
    resource = told.properties.resource_id if told.properties else None
    return Instance(
        id=str(told.name),
        provider_id=f"azure://{resource}" if resource else "",
        node=str(told.name),
        state="leaving" if pool.state == "deleting" else "running",
        zone=(told.zones or [""])[0],
    )


def writable(told: AgentPool) -> dict[str, Any]:
    """Return ``properties`` of a pool as a write takes them: all that AKS told, without what is read-only.

    A PUT replaces the pool: what is left out goes back to AKS' own choice.
    """
    body: dict[str, Any] = told.as_dict(exclude_readonly=True)
    return {name: value for name, value in body["properties"].items() if name not in _NOT_WRITTEN}


def sized(properties: Mapping[str, Any], size: int, name: str) -> dict[str, Any]:
    """Return ``properties`` with another size; raises NotOfferedError for a pool that has several."""
    profile = properties.get("virtualMachinesProfile")
    if not profile:
        return {**properties, "count": size}
    groups = profile.get("scale", {}).get("manual") or []
    if len(groups) != 1:
        raise NotOfferedError(
            f"pool {name} has {len(groups) or 'no'} machine types with a number each: its size is not one number",
            hint="change it with az aks nodepool manual-scale",
        )
    scale = {**profile["scale"], "manual": [{**groups[0], "count": size}]}
    without = {key: value for key, value in properties.items() if key != "count"}
    return without | {"virtualMachinesProfile": {**profile, "scale": scale}}


def autoscaled(properties: Mapping[str, Any], wanted: Autoscaling, name: str) -> dict[str, Any]:
    """Return ``properties`` with other bounds, which AKS takes only together with its autoscaler."""
    if properties.get("virtualMachinesProfile"):
        raise NotOfferedError(
            f"pool {name} is of single virtual machines, whose autoscaler has bounds for each machine type",
            hint="change it with az aks nodepool update",
        )
    without = {key: value for key, value in properties.items() if key not in {"minCount", "maxCount"}}
    bounds = {"minCount": wanted.min, "maxCount": wanted.max} if wanted.on else {}
    return without | {"enableAutoScaling": wanted.on} | bounds
