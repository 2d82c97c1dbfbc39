from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from scaler.model.job_record import Health, Record
from scaler.model.job_targets import Mail, Webhook
from scaler.plan import job_messages

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)


def record(**told: Any) -> Record:
    base: dict[str, Any] = {"id": "1", "job": "down", "cluster": "prod", "action": "scale --workers 2", "began": NOW}
    return Record(**{**base, "ended": NOW + timedelta(seconds=90), "result": "done", **told})


def webhook(kind: str, **told: Any) -> Webhook:
    return Webhook.model_validate({"webhook": kind, "url": {"file": "/url"}, **told})


FAILED = record(result="failed", exit_code=9, message="0 of 2 hosts made it", hint="repair n1")


def test_a_failure_is_told_with_its_code_reason_and_next_move() -> None:
    told = job_messages.text(FAILED)
    assert told.splitlines()[:4] == [
        "scaler: job down on prod: failed (exit code 9)",
        "0 of 2 hosts made it",
        "next: repair n1",
        "action: scaler scale --workers 2",
    ]


def test_a_change_is_told_with_its_hosts_and_the_nodes_there_are() -> None:
    health = Health(api=True, nodes=3, ready=3, voters=1, healthy_voters=1)
    told = job_messages.text(record(changed=True, removed=("n1", "n2"), health=health))
    assert told.startswith("scaler: job down on prod: done: removed n1, n2\n")
    assert "took 90 s" in told
    assert told.endswith("nodes: 3 of 3 Ready, etcd 1 of 1 healthy")


def test_slack_gets_text() -> None:
    assert job_messages.post(webhook("slack"), FAILED, "", NOW).body == {"text": job_messages.text(FAILED)}


@pytest.mark.parametrize("kind", ["wecom", "dingtalk"])
def test_wecom_and_dingtalk_get_a_text_message(kind: str) -> None:
    post = job_messages.post(webhook(kind), FAILED, "", NOW)
    assert post.body == {"msgtype": "text", "text": {"content": job_messages.text(FAILED)}}
    assert post.query == ""


def test_dingtalk_is_signed_in_its_address() -> None:
    post = job_messages.post(webhook("dingtalk"), FAILED, "SECx", NOW)
    stamp = str(int(NOW.timestamp() * 1000))
    expected = hmac.new(b"SECx", f"{stamp}\nSECx".encode(), hashlib.sha256).digest()
    assert parse_qs(post.query) == {"timestamp": [stamp], "sign": [base64.b64encode(expected).decode()]}


def test_feishu_is_signed_in_its_body_with_the_text_as_key() -> None:
    post = job_messages.post(webhook("feishu"), FAILED, "s3", NOW)
    stamp = str(int(NOW.timestamp()))
    expected = hmac.new(f"{stamp}\ns3".encode(), b"", hashlib.sha256).digest()
    assert post.body == {
        "timestamp": stamp,
        "sign": base64.b64encode(expected).decode(),
        "msg_type": "text",
        "content": {"text": job_messages.text(FAILED)},
    }
    assert set(job_messages.post(webhook("feishu"), FAILED, "", NOW).body) == {"msg_type", "content"}


def test_the_generic_format_is_the_whole_record() -> None:
    body = job_messages.post(webhook("generic"), FAILED, "", NOW).body
    assert (body["record"], body["job"], body["result"], body["exit_code"]) == ("scaler/job/v1", "down", "failed", 9)
    assert body["text"] == job_messages.text(FAILED)


def test_a_long_message_is_cut_between_characters() -> None:
    told = job_messages.post(webhook("wecom"), record(result="failed", message="Größe " * 1000), "", NOW)
    content = told.body["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.endswith("…")


@pytest.mark.parametrize(
    ("kind", "answer", "refused"),
    [
        ("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}, "errcode 310000: sign not match"),
        ("wecom", {"errcode": 93000, "errmsg": "invalid webhook url"}, "errcode 93000: invalid webhook url"),
        ("feishu", {"code": 19021, "msg": "sign match fail"}, "code 19021: sign match fail"),
        ("dingtalk", {"errcode": 0, "errmsg": "ok"}, ""),
        ("feishu", {"StatusCode": 0, "StatusMessage": "success"}, ""),
        ("slack", {}, ""),
        ("generic", {"code": 5}, ""),
    ],
)
def test_an_answer_that_refuses_with_200_is_understood(kind: str, answer: dict[str, Any], refused: str) -> None:
    assert job_messages.refusal(webhook(kind), answer) == refused


@pytest.mark.parametrize(
    ("told", "heard"),
    [
        (record(), ["always"]),
        (record(changed=True), ["change", "always"]),
        (record(result="failed"), ["failure", "always"]),
        (record(result="failed", changed=True), ["failure", "change", "always"]),
        (record(result="refused"), ["failure", "always"]),
        (record(result="busy"), ["failure", "always"]),
        (record(result="interrupted"), ["failure", "always"]),
        (record(result="skipped"), ["always"]),
    ],
)
def test_who_listens_for_what_is_told_of_that(told: Record, heard: list[str]) -> None:
    targets = tuple(Mail.model_validate({"mail": [when], "when": [when]}) for when in ("failure", "change", "always"))
    assert [target.mail[0] for target in job_messages.told_to(targets, told) if isinstance(target, Mail)] == heard
