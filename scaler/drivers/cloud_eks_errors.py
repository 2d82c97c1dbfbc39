"""What botocore's exceptions mean, and what the codes of AWS in answers that are no exceptions mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore import exceptions as boto

from scaler.drivers import cloud_calls
from scaler.errors import (
    AmbiguousError,
    CloudError,
    ConflictError,
    CredentialsError,
    InputError,
    QuotaError,
    ScalerError,
    SoldOutError,
    ThrottledError,
    UnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scaler.model.pools import Cause

CHAIN = (
    "AWS' own chain is asked: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, web identity, the profile (AWS_PROFILE or"
    " 'profile' of the inventory), the container's role, the instance's role"
)
_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500

# In the order in which they are asked: "RequestLimitExceeded" is a throttle, though it ends as a quota does.
_KINDS: tuple[tuple[str, type[CloudError]], ...] = (
    (r"Throttl|TooManyRequests|RequestLimitExceeded|RateExceeded|RateLimitExceeded|SlowDown", ThrottledError),
    (
        (
            r"AccessDenied|Unauthorized|UnrecognizedClient|InvalidClientTokenId|ExpiredToken|AuthFailure|OptInRequired"
            r"|SignatureDoesNotMatch|InvalidSignature|IncompleteSignature|MissingAuthenticationToken"
        ),
        CredentialsError,
    ),
    (r"InsufficientInstanceCapacity|InsufficientHostCapacity|InsufficientReservedInstanceCapacity", SoldOutError),
    (r"LimitExceeded|QuotaExceeded|InsufficientFreeAddresses|MaxSpotInstanceCountExceeded|IpNotAvailable", QuotaError),
    (r"ResourceInUse|ResourceContention|ScalingActivityInProgress|ConfigurationConflict", ConflictError),
)
# What stands in a scaling activity's message where no code does.
_WORDS = (
    (r"do not have sufficient .* capacity", "InsufficientInstanceCapacity"),
    (r"[Mm]ax spot instance count exceeded", "MaxSpotInstanceCountExceeded"),
    (r"not have enough free addresses", "InsufficientFreeAddressesInSubnet"),
    (r"vCPU (capacity|limit)", "VcpuLimitExceeded"),
    (r"not authorized", "UnauthorizedOperation"),
)
_CODED = re.compile(r"(?:^|[.:] )([A-Z][A-Za-z]+(?:\.[A-Z][A-Za-z]+)*) - ")


def code_in(message: str) -> str:
    """Return the code of EC2 that a scaling activity's message has, "" where it has none that is known."""
    said = _CODED.search(message)
    if said:
        return said[1]
    return next((code for words, code in _WORDS if re.search(words, message)), "")


def cause_of(code: str) -> Cause:
    """Return which kind of error this code is, of an activity, an update or a health issue."""
    return cloud_calls.cause_of(_kind(code))


def missing(error: CloudError) -> bool:
    """Tell whether a nodegroup is not there; a cluster that is not there is another thing, and nobody's wish."""
    return error.code == "ResourceNotFoundException" and "No cluster" not in error.message


def translate(error: Exception) -> ScalerError | None:
    """Return the error that an exception of boto3 is; None where it is none of boto3's."""
    if isinstance(error, boto.ClientError):
        return _answered(error)
    if isinstance(error, _WITHOUT_CREDENTIALS):
        return CredentialsError(f"AWS: {error}", hint=CHAIN)
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"AWS: {error}")
    if isinstance(error, boto.HTTPClientError | boto.IncompleteReadError):
        # Also what urllib3 says without a class of its own: it may all have been sent before.
        return AmbiguousError(f"AWS: {error}", hint="look what is there before you ask again")
    if isinstance(error, boto.ParamValidationError | boto.NoRegionError | boto.InvalidRegionError):
        return InputError(f"AWS: {error}")
    return CloudError(f"AWS: {error}") if isinstance(error, boto.BotoCoreError) else None


_WITHOUT_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.ConfigParseError,
    boto.SSOError,
    boto.TokenRetrievalError,
    boto.MetadataRetrievalError,
)
_NEVER_SENT = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.SSLError, boto.ProxyConnectionError)


def _answered(error: boto.ClientError) -> CloudError:
    said: Mapping[str, Any] = error.response.get("Error", {})
    about: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    status = int(about.get("HTTPStatusCode", 0))
    code, request = str(said.get("Code", "")), str(about.get("RequestId", ""))
    kind = _kind(code, status)
    hint = CHAIN if kind is CredentialsError else ""
    # ResourceContention is a conflict with status 500: it was refused, so it is no 5xx of which nobody knows.
    transient = kind is CloudError and (status >= _SERVER_ERROR or code == "ResourcePropagationDelayException")
    message = f"{error.operation_name}: {said.get('Message') or said.get('message') or 'no message'}"
    return kind(message, hint=hint, code=code, request=request, transient=transient)


def _kind(code: str, status: int = 0) -> type[CloudError]:
    for pattern, kind in _KINDS:
        if re.search(pattern, code):
            return kind
    by_status = {401: CredentialsError, 403: CredentialsError, 409: ConflictError, _TOO_MANY_REQUESTS: ThrottledError}
    return by_status.get(status, CloudError)
