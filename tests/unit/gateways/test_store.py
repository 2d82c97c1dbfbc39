"""Binaries are used only when they are what the manifest says, wherever they come from."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from scaler.errors import InputError, IntegrityError, UnreachableError
from scaler.gateways import store
from scaler.gateways.store import Binary, Store, read_manifest
from tests.unit.examples import settings

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_httpserver import HTTPServer

KUBELET = Binary("kubernetes", "1.20.2", "amd64", "kubelet")
CONTENT = b"the kubelet" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(store._fetch.retry, "sleep", lambda _: None)


def opened(tmp_path: Path, binaries: str, digest: str = DIGEST) -> Store:
    manifest = tmp_path / "binaries.sha256"
    manifest.write_text(f"# pinned\n\n{digest}  {KUBELET.path}\n")
    return Store(settings(binaries=binaries, binaries_manifest=manifest))


def fill(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "store" / KUBELET.path
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return str(tmp_path / "store")


def test_a_binary_that_is_right_is_given(tmp_path: Path) -> None:
    place = fill(tmp_path, CONTENT)
    assert opened(tmp_path, place).path(KUBELET).read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"X", b"", b"<html>404</html>"])
def test_a_binary_that_is_wrong_is_refused(tmp_path: Path, content: bytes) -> None:
    place = fill(tmp_path, content)
    with pytest.raises(IntegrityError, match=r"kubelet is not what the manifest says: SHA-256 \w{64}, expected"):
        opened(tmp_path, place).path(KUBELET)


def test_a_binary_without_a_digest_is_refused(tmp_path: Path) -> None:
    other = Binary("kubernetes", "1.20.3", "amd64", "kubelet")
    with pytest.raises(IntegrityError, match=r"has no digest for kubernetes/v1\.20\.3/linux-amd64/kubelet"):
        opened(tmp_path, fill(tmp_path, CONTENT)).path(other)


def test_a_binary_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        opened(tmp_path, str(tmp_path / "empty")).path(KUBELET)


def cached(tmp_path: Path) -> list[str]:
    return [str(path.name) for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_mirror_is_fetched_once_and_verified(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request("/release/v1.20.2/bin/linux/amd64/kubelet").respond_with_data(CONTENT)
    assert opened(tmp_path, httpserver.url_for("/release")).path(KUBELET).read_bytes() == CONTENT
    assert opened(tmp_path, httpserver.url_for("/release")).path(KUBELET).read_bytes() == CONTENT
    httpserver.check_assertions()


@pytest.mark.parametrize("content", [CONTENT[:-1], b"<html>login</html>"])
def test_wrong_bytes_from_a_mirror_leave_no_file(tmp_path: Path, httpserver: HTTPServer, content: bytes) -> None:
    httpserver.expect_request("/v1.20.2/bin/linux/amd64/kubelet").respond_with_data(content)
    with pytest.raises(IntegrityError, match="has SHA-256"):
        opened(tmp_path, httpserver.url_for("/")).path(KUBELET)
    assert cached(tmp_path) == []


def test_what_a_mirror_does_not_have_is_said_with_its_status(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1.20.2/bin/linux/amd64/kubelet").respond_with_data("no", status=404)
    with pytest.raises(InputError, match="HTTP status 404"):
        opened(tmp_path, httpserver.url_for("/")).path(KUBELET)
    assert cached(tmp_path) == []


def test_a_mirror_in_trouble_is_tried_again_until_it_answers(tmp_path: Path, httpserver: HTTPServer) -> None:
    address = "/v1.20.2/bin/linux/amd64/kubelet"
    for _ in range(2):
        httpserver.expect_ordered_request(address).respond_with_data("busy", status=503)
    httpserver.expect_ordered_request(address).respond_with_data(CONTENT)
    assert opened(tmp_path, httpserver.url_for("/")).path(KUBELET).read_bytes() == CONTENT
    httpserver.check_assertions()


def test_a_mirror_that_stays_in_trouble_is_unreachable(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1.20.2/bin/linux/amd64/kubelet").respond_with_data("no", status=500)
    with pytest.raises(UnreachableError, match="HTTP status 500"):
        opened(tmp_path, httpserver.url_for("/")).path(KUBELET)
    assert cached(tmp_path) == []


def test_what_comes_from_a_mirror_can_be_run(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1.20.2/bin/linux/amd64/kubelet").respond_with_data(CONTENT)
    assert opened(tmp_path, httpserver.url_for("/")).path(KUBELET).stat().st_mode & 0o777 == 0o755


def test_a_mirror_that_does_not_answer_is_tried_again_and_then_said(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1/"):
        opened(tmp_path, "http://127.0.0.1:1").path(KUBELET)
    assert cached(tmp_path) == []


@pytest.mark.parametrize("line", ["abc  kubelet", DIGEST, f"{DIGEST} kubelet"])
def test_a_line_of_the_manifest_that_is_none_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "manifest"
    path.write_text(f"# head\n{line}\n")
    with pytest.raises(InputError, match="manifest:2: not '<sha256>  <path>'"):
        read_manifest(path)


def test_a_manifest_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "none")
