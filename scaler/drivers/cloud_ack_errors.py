"""What ACK's errors mean: of requests, by the SDK's exceptions, and of tasks, by their code and message."""

from __future__ import annotations

import re
import socket
import ssl
from typing import TYPE_CHECKING, Any

from alibabacloud_credentials.exceptions import CredentialException
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException, ThrottlingException
from darabonba.exceptions import RetryError, UnretryableException
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from scaler.drivers.cloud_calls import cause_of
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
    from collections.abc import Iterator

    from scaler.model.pools import Cause

CHAIN = (
    "credentials come from Alibaba Cloud's own chain: ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET, OIDC, the profile of "
    "the aliyun command, ~/.alibabacloud/credentials, the machine's RAM role"
)
_LOOK = "look what is there before you ask again"
# ACK publishes no list of its codes, so a family is told by its words; the first that fits counts. Several come with
# the HTTP status of another family: 400 for a conflict and for a throttle, 403 for a quota and for a lack of stock.
_FAMILIES: tuple[tuple[type[CloudError], str], ...] = (
    (ThrottledError, r"Throttl|TooManyRequest|RequestLimit|FlowControl"),
    (QuotaError, r"Quota|LimitExceed|Exceed\w*Limit|MaxNodes"),
    (SoldOutError, r"NoStock|OutOfStock|StockNot|NotOnSale|ResourceNotAvailable|InsufficientCapacity|SoldOut"),
    (ConflictError, r"InvalidStatus|InvalidState|\w+State$|Conflict|InProgress|AlreadyRunning|TaskRunning"),
    (CredentialsError, r"AccessKey|Signature|SecurityToken|StsToken|NoPermission|Unauthorized|Forbidden(?:\.RAM|$)"),
)
_SAID: tuple[tuple[type[CloudError], str], ...] = (
    (QuotaError, r"quota.{0,30}(?:exceeded|reached|insufficient)|exceeds? .{0,20}quota"),
    (SoldOutError, r"out of stock|sold out|insufficient (?:stock|capacity|inventory)"),
    (ConflictError, r"state is (?:scaling|updating|removing|deleting|upgrading)|is in progress"),
)
_STATUSES: dict[int, type[CloudError]] = {
    401: CredentialsError,
    403: CredentialsError,
    409: ConflictError,
    429: ThrottledError,
}
_SERVER_ERROR = 500
_NEVER_SENT = (
    ConnectionRefusedError,
    ConnectTimeoutError,
    NewConnectionError,
    socket.gaierror,
    ssl.SSLCertVerificationError,
)


def family(code: str, message: str = "", status: int = 0) -> type[CloudError]:
    """Return the kind of error that ACK means; CloudError where its words and its HTTP status say nothing."""
    by_code = next((kind for kind, words in _FAMILIES if re.search(words, code, re.IGNORECASE)), None)
    by_message = next((kind for kind, words in _SAID if re.search(words, message, re.IGNORECASE)), None)
    return by_code or by_message or _STATUSES.get(status, CloudError)


def cause(code: str, message: str) -> Cause:
    """Return the cause of a task's failure."""
    return cause_of(family(code, message))


def is_no_pool(error: CloudError) -> bool:
    """Tell whether ACK says that there is no such node pool; another thing that is not there is an error."""
    return "nodepoolnotfound" in error.code.lower().replace("_", "")


def is_no_task(error: CloudError) -> bool:
    """Tell whether ACK says that there is no such task (any more)."""
    return bool(re.search(r"task\w*(\.?NotFound|NotExist)", error.code, re.IGNORECASE))


def translate(error: Exception) -> ScalerError | None:
    """Tell which error an exception of the SDK's is; None for what is none of the SDK's."""
    if isinstance(error, AlibabaCloudException):
        return _refused(error)
    if isinstance(error, UnretryableException):
        return _not_answered(error.inner_exception)
    return None


def _refused(error: Any) -> CloudError:  # noqa: ANN401 - the SDK has no types
    told = error.data if isinstance(error.data, dict) else {}
    code = _word(error.code)
    message = _word(told.get("message") or told.get("Message")) or _word(error.message)
    status = int(error.status_code or 0)
    kind = ThrottledError if isinstance(error, ThrottlingException) else family(code, message, status)
    return kind(
        f"ACK: {message or 'no message'}",
        hint=CHAIN if kind is CredentialsError else "",
        code=code or f"HTTP {status}",
        request=_word(error.request_id),
        transient=kind is CloudError and status >= _SERVER_ERROR,
    )


def _word(told: object) -> str:
    # The SDK makes the word "None" of what an answer does not have.
    return "" if told in {None, "None"} else str(told)


def _not_answered(inner: Exception) -> ScalerError:
    if isinstance(inner, CredentialException):
        return CredentialsError(f"Alibaba Cloud: {inner}", hint=CHAIN, code=_word(inner.code))
    if isinstance(inner, RetryError):
        if any(isinstance(each, _NEVER_SENT) for each in _reasons(inner)):
            return UnreachableError(f"ACK cannot be reached: {inner.message}", hint="check region, endpoint and proxy")
        return AmbiguousError(f"ACK did not answer: {inner.message}", hint=_LOOK)
    if isinstance(inner, AttributeError | RuntimeError | TypeError | ValueError):
        # What stands before ACK (a gateway, a proxy) answered with a page: the SDK parses it as JSON, whatever it is.
        return CloudError("ACK answered what is not its JSON", transient=True)
    return CloudError(f"ACK: {inner}")


def _reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield what an exception was raised for; the SDK keeps only the text, Python keeps the rest."""
    reason: BaseException | None = error
    while reason is not None:
        yield reason
        reason = reason.__cause__ or reason.__context__
