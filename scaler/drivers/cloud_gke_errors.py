"""What Google's errors mean: one reading for gRPC, for its REST twin and for Compute Engine.

Over gRPC the reason comes as an ErrorInfo. The REST twin may lose it, and Compute Engine has its own words: there the
message is read. A connection that was never made is told from one that broke by gRPC's own text, as there is no other
sign of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from pydantic import ValidationError

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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scaler.model.pools import Cause

CHAIN = (
    "Google's own chain is asked: GOOGLE_APPLICATION_CREDENTIALS, then `gcloud auth application-default login`, then "
    "the machine's service account"
)
_CONFLICT = re.compile(
    r"CLUSTER_ALREADY_HAS_OPERATION|incompatible operation|operation-\S+ is currently|too many operations"
    r"|concurrent operations|resourceNotReady|resource .*is not ready",
    re.IGNORECASE,
)
_THROTTLED = re.compile(r"rate_?limit_?exceeded|per minute|rate exceeded", re.IGNORECASE)
_SOLD_OUT = re.compile(
    r"resource_pool_exhausted|stockout|insufficient_capacity|not have enough resources|vm_min_count_not_reached",
    re.IGNORECASE,
)
# A "quota project" is who pays for a call, no limit.
_QUOTA = re.compile(r"quota(?! project)|limit_?exceeded", re.IGNORECASE)
_DENIED = re.compile(
    r"permissions?_(error|denied)|forbidden|service account .* (does not exist|missing)", re.IGNORECASE
)
_NEVER_SENT = re.compile(
    r"failed to connect|errors resolving|name resolution|handshake failed|all backends|no such host", re.IGNORECASE
)
_BROKEN = re.compile(
    r"socket closed|connection reset|broken pipe|stream removed|goaway|rst_stream|connection aborted|keepalive"
    r"|transport closed|endpoint .*closing|end of tcp stream",
    re.IGNORECASE,
)
_TLS = re.compile(r"certificate|wrong_version|handshake|hostname", re.IGNORECASE)
_PLUGIN = "Getting metadata from plugin failed"
_SERVER_ERRORS = 500


class _Told(NamedTuple):
    http: int
    status: str
    reason: str
    message: str
    request: str

    @property
    def code(self) -> str:
        return self.reason or self.status or (str(self.http) if self.http else "")


def translate(error: Exception) -> ScalerError | None:
    """Return the error that an exception of Google's libraries is; None for any other."""
    if isinstance(error, auth.GoogleAuthError):
        return _of_credentials(error)
    if isinstance(error, requests.RequestException):
        return _of_connection(error)
    if isinstance(error, api.GoogleAPICallError):
        return _of_answer(error)
    if isinstance(error, api.GoogleAPIError):
        return CloudError(str(error))
    if isinstance(error, ValidationError):
        return AmbiguousError(f"Google answered what cannot be read: {error}")
    return None


def cause_of(texts: Iterable[str]) -> Cause:
    """Return the kind of error that an operation is whose reasons are ``texts``."""
    told = " ".join(texts)
    kinds: tuple[tuple[re.Pattern[str], Cause], ...] = (
        (_SOLD_OUT, "sold-out"),
        (_QUOTA, "quota"),
        (_DENIED, "credentials"),
    )
    return next((cause for pattern, cause in kinds if pattern.search(told)), "cloud")


def _of_credentials(error: auth.GoogleAuthError) -> ScalerError:
    if isinstance(error, auth.TransportError):
        return UnreachableError(f"no token to be had: {error}", hint=CHAIN)
    return CredentialsError(f"no credentials for Google: {error}", hint=CHAIN, code=type(error).__name__)


def _of_connection(error: requests.RequestException) -> ScalerError:
    told = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        never = bool(_TLS.search(told))
    elif isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        never = True
    else:
        # A refused connection and an unknown name come as urllib3's MaxRetryError, a reset as its ProtocolError.
        reason = getattr(error.args[0], "reason", None) if error.args else None
        never = type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}
    if never:
        return UnreachableError(f"Google does not answer: {told}", hint="address, network, SSL roots")
    return AmbiguousError(f"the connection to Google broke: {told}")


def _of_answer(error: api.GoogleAPICallError) -> ScalerError:
    told = _told(error)
    if _PLUGIN in told.message:
        return CredentialsError(f"no token for Google: {told.message}", hint=CHAIN, code=told.code)
    if _is_grpc(error) and isinstance(error, api.ServerError | api.Cancelled):
        # A status that gRPC itself has made up, since there was no answer.
        if _NEVER_SENT.search(told.message):
            return UnreachableError(f"GKE does not answer: {told.message}", hint="address, network, SSL roots")
        if _BROKEN.search(told.message) or isinstance(error, api.GatewayTimeout | api.Cancelled):
            return AmbiguousError(f"the connection to GKE broke: {told.message}", code=told.code)
    kind = _kind(told)
    hint = CHAIN if kind is CredentialsError else ""
    transient = kind is CloudError and told.http >= _SERVER_ERRORS
    return kind(told.message, hint=hint, code=told.code, request=told.request, transient=transient)


def _kind(told: _Told) -> type[CloudError]:
    text = f"{told.reason} {told.message}"
    for pattern, kind in (
        (_CONFLICT, ConflictError),
        (_THROTTLED, ThrottledError),
        (_SOLD_OUT, SoldOutError),
        (_QUOTA, QuotaError),
    ):
        if pattern.search(text):
            return kind
    if told.http in {requests.codes.conflict, requests.codes.precondition_failed} and "exists" not in text.lower():
        return ConflictError
    return {
        int(requests.codes.unauthorized): CredentialsError,
        int(requests.codes.forbidden): CredentialsError,
        int(requests.codes.too_many_requests): ThrottledError,
    }.get(told.http, CloudError)


def _is_grpc(error: api.GoogleAPICallError) -> bool:
    return error.grpc_status_code is not None and not isinstance(error.response, requests.Response)


def _told(error: api.GoogleAPICallError) -> _Told:
    """Return what an answer says, whichever way it came."""
    status, message = "", str(error.message)
    reason = str(error.reason or "")
    if error.grpc_status_code is not None:
        status = str(error.grpc_status_code.name)
    if isinstance(error.response, requests.Response):
        body = _error_in(error.response)
        status = str(body.get("status") or status)
        message = str(body.get("message") or message)
        errors = body.get("errors") or [{}]
        reason = reason or str(errors[0].get("reason") or "")
    return _Told(int(error.code or 0), status, reason, message, _request(error.details))


def _error_in(response: requests.Response) -> Mapping[str, Any]:
    try:
        told = response.json()
    except ValueError:
        return {}
    body = told.get("error") if isinstance(told, dict) else None
    return body if isinstance(body, dict) else {}


def _request(details: Iterable[Any]) -> str:
    """Return the ID of the request, where a RequestInfo came along."""
    for detail in details or ():
        as_json = isinstance(detail, Mapping)
        found = detail.get("requestId", "") if as_json else getattr(detail, "request_id", "")
        if found:
            return str(found)
    return ""
