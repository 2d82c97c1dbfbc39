"""Webhooks to a real HTTP server on loopback, mail to a real program."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from email import message_from_string
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug import Response

from scaler.errors import InputError, ScalerError, UnreachableError
from scaler.gateways import telling
from scaler.model.job_record import Record
from scaler.model.job_targets import Mail, Webhook

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer
    from werkzeug import Request

NOW = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)
RECORD = Record(
    id="1",
    job="down",
    cluster="prod",
    action="scale --workers 2",
    began=NOW,
    ended=NOW,
    result="failed",
    exit_code=9,
    message="Knoten n1 hört nicht",
)
OK = {"slack": "ok", "generic": "", "dingtalk": '{"errcode":0}', "wecom": '{"errcode":0}', "feishu": '{"code":0}'}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling._sent.retry, "sleep", lambda _: None)


def secret(path: Path, text: str) -> dict[str, str]:
    path.write_text(text + "\n")
    path.chmod(0o600)
    return {"file": str(path)}


def webhook(tmp_path: Path, kind: str, url: str, signs: str = "") -> Webhook:
    told: dict[str, Any] = {"webhook": kind, "url": secret(tmp_path / "url", url)}
    if signs:
        told["secret"] = secret(tmp_path / "secret", signs)
    return Webhook.model_validate(told)


@pytest.mark.parametrize("kind", sorted(OK))
def test_each_kind_is_posted_as_json_to_its_secret_address(tmp_path: Path, httpserver: HTTPServer, kind: str) -> None:
    httpserver.expect_request("/robot/send", method="POST", query_string="key=k1").respond_with_data(OK[kind])
    telling.tell(webhook(tmp_path, kind, httpserver.url_for("/robot/send?key=k1")), RECORD, NOW)
    (request, _), *more = httpserver.log
    assert not more
    assert request.content_type == "application/json"
    assert "Knoten n1 hört nicht" in json.dumps(json.loads(request.data), ensure_ascii=False)


def test_dingtalks_signature_joins_the_key_that_is_in_the_address(tmp_path: Path, httpserver: HTTPServer) -> None:
    def check(request: Request) -> Response:
        text = f"{request.args['timestamp']}\nSECx"
        expected = base64.b64encode(hmac.new(b"SECx", text.encode(), hashlib.sha256).digest()).decode()
        good = request.args["access_token"] == "t+1" and request.args["sign"] == expected
        return Response('{"errcode":0}' if good else '{"errcode":310000,"errmsg":"sign not match"}')

    httpserver.expect_request("/robot/send").respond_with_handler(check)
    url = httpserver.url_for("/robot/send?access_token=t%2B1")
    telling.tell(webhook(tmp_path, "dingtalk", url, "SECx"), RECORD, NOW)
    with pytest.raises(ScalerError, match="errcode 310000: sign not match"):
        telling.tell(webhook(tmp_path, "dingtalk", url, "SECy"), RECORD, NOW)


def test_a_receiver_of_the_generic_format_can_tell_who_sent_it(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("")
    telling.tell(webhook(tmp_path, "generic", httpserver.url_for("/hook"), "s3cr3t"), RECORD, NOW)
    ((request, _),) = httpserver.log
    expected = hmac.new(b"s3cr3t", request.data, hashlib.sha256).hexdigest()
    assert request.headers["X-Scaler-Signature"] == f"sha256={expected}"
    assert json.loads(request.data)["job"] == "down"


def test_a_receiver_in_trouble_is_asked_again(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/hook").respond_with_data("", status=503)
    httpserver.expect_ordered_request("/hook").respond_with_data("", status=429)
    httpserver.expect_ordered_request("/hook").respond_with_data("ok")
    telling.tell(webhook(tmp_path, "slack", httpserver.url_for("/hook")), RECORD, NOW)
    assert len(httpserver.log) == 3


def test_a_refusal_is_told_once_and_without_the_address(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/services/s3cr3t").respond_with_data("invalid_token", status=403)
    with pytest.raises(ScalerError, match="HTTP status 403") as told:
        telling.tell(webhook(tmp_path, "slack", httpserver.url_for("/services/s3cr3t")), RECORD, NOW)
    assert "s3cr3t" not in told.value.message + told.value.hint
    assert len(httpserver.log) == 1


def test_a_redirect_is_not_followed(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=302, headers={"Location": httpserver.url_for("/x")})
    with pytest.raises(ScalerError, match="HTTP status 302"):
        telling.tell(webhook(tmp_path, "slack", httpserver.url_for("/hook")), RECORD, NOW)
    assert len(httpserver.log) == 1


def test_nobody_who_listens_is_told_without_the_address(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"webhook slack \(.*/url\) does not answer: ConnectError") as told:
        telling.tell(webhook(tmp_path, "slack", "http://127.0.0.1:9/s3cr3t"), RECORD, NOW)
    assert "s3cr3t" not in told.value.message


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "hooks.slack.com/services", "http://"])
def test_what_is_no_address_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="is not an http or https address") as told:
        telling.tell(webhook(tmp_path, "slack", url), RECORD, NOW)
    assert url not in told.value.message


def test_a_secret_that_everybody_can_read_is_not_used(tmp_path: Path) -> None:
    target = webhook(tmp_path, "slack", "http://127.0.0.1:9/")
    (tmp_path / "url").chmod(0o644)
    with pytest.raises(InputError, match="can be read by everybody"):
        telling.tell(target, RECORD, NOW)


@pytest.mark.parametrize(
    ("text", "why"), [("", "is not one line"), ("a\nb", "is not one line"), (None, "cannot be read: No such file")]
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str | None, why: str) -> None:
    target = webhook(tmp_path, "slack", text or "x")
    if text is None:
        (tmp_path / "url").unlink()
    else:
        (tmp_path / "url").write_text(text)
    with pytest.raises(InputError, match=why):
        telling.tell(target, RECORD, NOW)


def test_a_credential_of_systemds_comes_before_the_file(
    tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/hook").respond_with_data("ok")
    target = Webhook.model_validate({"webhook": "slack", "url": {"credential": "slack-url"}})
    with pytest.raises(InputError, match="there is no credential slack-url here"):
        telling.tell(target, RECORD, NOW)
    secret(tmp_path / "slack-url", httpserver.url_for("/hook"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    telling.tell(target, RECORD, NOW)
    assert len(httpserver.log) == 1


@pytest.fixture
def sendmail(tmp_path: Path) -> Path:
    """A program that takes mail as sendmail does."""
    path = tmp_path / "sendmail"
    path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/argv\ncat > {tmp_path}/mail\n[ ! -e {tmp_path}/full ]\n')
    path.chmod(0o755)
    return path


def test_mail_goes_by_sendmail_with_its_words_intact(tmp_path: Path, sendmail: Path) -> None:
    target = Mail.model_validate({"mail": ["ops@example.org", "root"], "sender": "scaler@x", "sendmail": sendmail})
    telling.tell(target, RECORD, NOW)
    assert (tmp_path / "argv").read_text() == "-t -i\n"
    mail = message_from_string((tmp_path / "mail").read_text())
    assert (mail["To"], mail["From"]) == ("ops@example.org, root", "scaler@x")
    assert mail["Subject"].replace("\n", "") == "scaler: job down on prod: failed (exit code 9)"
    assert mail["Date"] == "Wed, 01 Jul 2026 02:00:00 +0000"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert "Knoten n1 hört nicht" in body.decode()


def test_a_sendmail_that_fails_or_is_missing_is_told(tmp_path: Path, sendmail: Path) -> None:
    target = Mail.model_validate({"mail": ["ops@example.org"], "sendmail": sendmail})
    (tmp_path / "full").touch()
    with pytest.raises(ScalerError, match="exit status 1"):
        telling.tell(target, RECORD, NOW)
    sendmail.unlink()
    with pytest.raises(ScalerError, match="not found on this machine"):
        telling.tell(target, RECORD, NOW)
