"""How a job's end is told: the sentences, and the bodies that each kind of webhook takes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from scaler.model.job_record import Record
    from scaler.model.job_targets import Target, Webhook, When

# WeCom takes 2048 bytes of text and cuts characters in two behind that.
BYTES = 2000


class Post(NamedTuple):
    """What is posted, and what is added to the address for it."""

    body: dict[str, Any]
    query: str = ""


def wanted(record: Record, when: tuple[When, ...]) -> bool:
    """Tell whether somebody who listens for ``when`` is told of the record."""
    return "always" in when or ("failure" in when and record.bad) or ("change" in when and record.changed)


def subject(record: Record) -> str:
    """Return the end of a job in one line."""
    changed = " ".join(
        filter(
            None,
            [
                f"added {', '.join(record.added)}" if record.added else "",
                f"removed {', '.join(record.removed)}" if record.removed else "",
            ],
        )
    )
    code = f" (exit code {record.exit_code})" if record.exit_code else ""
    return f"scaler: job {record.job} on {record.cluster}: {record.result}{code}" + (f": {changed}" if changed else "")


def text(record: Record) -> str:
    """Return the end of a job in full sentences."""
    lines = [subject(record), record.message, f"next: {record.hint}" if record.hint else ""]
    lines.append(f"action: scaler {record.action}")
    if record.ended:
        lines.append(f"began {record.began:%Y-%m-%d %H:%M:%S} UTC, took {record.seconds:.0f} s")
    health = record.health
    if health and health.nodes is not None:
        etcd = "" if health.voters is None else f", etcd {health.healthy_voters} of {health.voters} healthy"
        lines.append(f"nodes: {health.ready} of {health.nodes} Ready{etcd}")
    return "\n".join(filter(None, lines))


def post(target: Webhook, record: Record, secret: str, now: datetime) -> Post:
    """Return what ``target`` is posted; with a ``secret`` it is signed as that kind of webhook wants it."""
    told = _cut(text(record))
    seconds = str(int(now.timestamp()))
    match target.webhook:
        case "slack":
            return Post({"text": told})
        case "wecom":
            return Post({"msgtype": "text", "text": {"content": told}})
        case "dingtalk":
            stamp = str(int(now.timestamp() * 1000))
            sign = _sign(secret.encode(), f"{stamp}\n{secret}".encode())
            query = urlencode({"timestamp": stamp, "sign": sign}) if secret else ""
            return Post({"msgtype": "text", "text": {"content": told}}, query)
        case "feishu":
            # The signed text is the key, and nothing is what is signed: so it is told.
            signed = {"timestamp": seconds, "sign": _sign(f"{seconds}\n{secret}".encode(), b"")} if secret else {}
            return Post({**signed, "msg_type": "text", "content": {"text": told}})
        case "generic":
            return Post({"text": told, **record.model_dump(mode="json")})


def signature(secret: str, body: bytes) -> dict[str, str]:
    """Return the header that proves to a receiver of the generic format who sent ``body``."""
    return {"X-Scaler-Signature": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def refusal(target: Webhook, answer: Mapping[str, Any]) -> str:
    """Return why the receiver did not take it though it answered 200, empty where it did."""
    if target.webhook in {"dingtalk", "wecom"} and answer.get("errcode", 0) != 0:
        return f"errcode {answer['errcode']}: {answer.get('errmsg', '')}"
    code = answer.get("code", answer.get("StatusCode", 0))
    if target.webhook == "feishu" and code != 0:
        return f"code {code}: {answer.get('msg', answer.get('StatusMessage', ''))}"
    return ""


def told_to(targets: tuple[Target, ...], record: Record) -> list[Target]:
    """Return those of ``targets`` who want to know."""
    return [target for target in targets if wanted(record, target.when)]


def _sign(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def _cut(told: str) -> str:
    raw = told.encode()
    return told if len(raw) <= BYTES else raw[: BYTES - 3].decode(errors="ignore") + "…"
