"""What ACK's server checks of a request before it does anything: the ACS3 signature, and the body by the SDK's models.

The signature is computed from the request as it came over the wire, after Alibaba Cloud's description of it, and not by
the SDK's code that made it.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from alibabacloud_cs20151215 import models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.base import Request

VERSION = "2015-12-15"
_ALGORITHM = "ACS3-HMAC-SHA256"
_AUTHORIZATION = re.compile(_ALGORITHM + r" Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")
_SKEW = timedelta(minutes=15)
_TYPES: dict[str, type] = {"int": int, "str": str, "bool": bool, "float": float}
_SIGNED = {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}


class RefusedError(Exception):
    """ACK's own refusal."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Signatures:
    """The accounts that the cloud knows, and the nonces that it saw."""

    def __init__(self, key: str, secret: str, token: str = "") -> None:
        self.key, self.secret, self.token = key, secret, token
        self._nonces: set[str] = set()

    def check(self, request: Request, action: str) -> None:
        """Raise RefusedError where the signature is not right."""
        given = request.headers
        found = _AUTHORIZATION.fullmatch(given.get("authorization", ""))
        if found is None:
            raise RefusedError(400, "MissingAuthorization", "there is no ACS3-HMAC-SHA256 authorization")
        key, names, signature = found.groups()
        if key != self.key:
            raise RefusedError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if given.get("x-acs-security-token", "") != self.token:
            raise RefusedError(403, "InvalidSecurityToken.MismatchWithAccessKey", "The security token does not fit.")
        if hashlib.sha256(request.body).hexdigest() != given.get("x-acs-content-sha256"):
            raise RefusedError(400, "InvalidContentSha256", "x-acs-content-sha256 is not that of the body")
        missing = _SIGNED - set(names.split(";"))
        if missing:
            raise RefusedError(400, "IncompleteSignature", f"not signed: {sorted(missing)}")
        if not hmac.compare_digest(self._signature(request, names), signature):
            raise RefusedError(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
        if (given["x-acs-version"], given["x-acs-action"]) != (VERSION, action):
            raise RefusedError(400, "InvalidAction.NotFound", f"{given['x-acs-action']} is not {action}")
        at = datetime.strptime(given["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - at) > _SKEW:
            raise RefusedError(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        nonce = given["x-acs-signature-nonce"]
        if nonce in self._nonces:
            raise RefusedError(400, "SignatureNonceUsed", "Specified signature nonce was used already.")
        self._nonces.add(nonce)

    def _signature(self, request: Request, names: str) -> str:
        query = "&".join(
            f"{quote(name, safe='~')}={quote(value, safe='~')}"
            for name, values in sorted(request.query.items())
            for value in values
        )
        headers = "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names.split(";"))
        digest = hashlib.sha256(request.body).hexdigest()
        canonical = f"{request.method}\n{request.path}\n{query}\n{headers}\n{names}\n{digest}"
        text = f"{_ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def wrong(model: type, body: Any, where: str = "") -> Iterator[str]:
    """Yield what of ``body`` the SDK's ``model`` does not have, what is of another type, and every empty list.

    That lists must not be empty is this server's own rule: what ACK does with one is not known.
    """
    if not isinstance(body, dict):
        yield f"{where or 'body'}: is no object"
        return
    fields = inspect.signature(model).parameters
    for name, value in body.items():
        if name not in fields:
            yield f"{where}{name}: there is no such field"
        else:
            yield from _wrong_value(str(fields[name].annotation), value, f"{where}{name}")


def _wrong_value(annotation: str, value: Any, where: str) -> Iterator[str]:
    if annotation.startswith("List["):
        if not isinstance(value, list) or not value:
            yield f"{where}: is no list, or an empty one"
            return
        for at, each in enumerate(value):
            yield from _wrong_value(annotation[len("List[") : -1], each, f"{where}[{at}]")
    elif annotation.startswith("main_models."):
        yield from wrong(getattr(models, annotation.removeprefix("main_models.")), value, f"{where}.")
    elif (kind := _TYPES.get(annotation)) and (
        not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    ):
        yield f"{where}: is no {annotation}"
