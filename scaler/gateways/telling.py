"""Tell somebody outside: a webhook over HTTP, or mail by sendmail."""

from __future__ import annotations

import json
from email.message import EmailMessage
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2 as httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from scaler.errors import InputError, ScalerError, UnreachableError
from scaler.gateways import secrets
from scaler.gateways.process import run
from scaler.model.job_targets import Mail
from scaler.plan import job_messages

if TYPE_CHECKING:
    from datetime import datetime

    from scaler.model.job_record import Record
    from scaler.model.job_targets import Target, Webhook

_SECONDS = 15
_BUSY = 429


def tell(target: Target, record: Record, now: datetime) -> None:
    """Tell ``target`` of ``record``; raises ScalerError that says why it could not be told, and no secret."""
    if isinstance(target, Mail):
        _mail(target, record, now)
    else:
        _post(target, record, now)


def _post(target: Webhook, record: Record, now: datetime) -> None:
    url = secrets.read(target.url)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(f"what {target.url.told} has is not an http or https address")
    secret = secrets.read(target.secret) if target.secret else ""
    post = job_messages.post(target, record, secret, now)
    if post.query:
        url += ("&" if parts.query else "?") + post.query
    body = json.dumps(post.body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json"}
    if target.webhook == "generic" and secret:
        headers |= job_messages.signature(secret, body)
    answer = _sent(target.told, url, body, headers)
    try:
        told = json.loads(answer)
    except ValueError:
        told = {}
    refused = job_messages.refusal(target, told if isinstance(told, dict) else {})
    if refused:
        raise ScalerError(f"{target.told} did not take it: {refused}", hint="see its settings and its secret")


@retry(
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=1, max=10),
    retry=retry_if_exception_type(UnreachableError),
    reraise=True,
)
def _sent(told: str, url: str, body: bytes, headers: dict[str, str]) -> bytes:
    """Post; ``told`` names the receiver in errors, since the address is a secret."""
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as e:
        # httpx's own words may hold the address.
        raise UnreachableError(f"{told} does not answer: {type(e).__name__}") from None
    if answer.is_server_error or answer.status_code == _BUSY:
        raise UnreachableError(f"{told}: HTTP status {answer.status_code}")
    if not answer.is_success:
        raise ScalerError(f"{told}: HTTP status {answer.status_code}", hint="see its address and its secret")
    return answer.content


def _mail(target: Mail, record: Record, now: datetime) -> None:
    message = EmailMessage()
    message["Subject"] = job_messages.subject(record)
    message["To"] = ", ".join(target.mail)
    if target.sender:
        message["From"] = target.sender
    message["Date"] = now
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(job_messages.text(record) + "\n")
    run([str(target.sendmail), "-t", "-i"], stdin=message.as_string(), timeout=60)
