from __future__ import annotations

from typing import Any, cast

import pytest

from scaler.app import lint
from scaler.app.lint import Looked
from scaler.checks import masters
from scaler.checks.masters import MasterFacts
from scaler.errors import PartialError, PreflightError, UnreachableError
from scaler.model.components import Component, Text
from scaler.model.inventory import Connection, Host
from scaler.plan import components


def made(name: str, version: str, *flags: str) -> Component:
    text = f"[Service]\nExecStart=/usr/bin/{name} {' '.join(flags)}\n"
    return components.of_unit(name, [Text(path="/u", text=text)], environment={}, configs={}, version=version)


def judged(component: Component, target: str = "", kubernetes: str = "1.30.0") -> list[tuple[str, bool]]:
    found = lint.judge("m1", component, target=target, kubernetes=kubernetes)
    return [(finding.at, finding.error) for finding in found if finding.check == "flags"]


def test_etcd_is_judged_at_its_own_next_minor() -> None:
    assert judged(made("etcd", "3.5.9", "--experimental-initial-corrupt-check")) == [("3.6", False)]
    assert judged(made("etcd", "3.6.9", "--experimental-initial-corrupt-check"), kubernetes="1.34.0") == [
        ("3.6.9", False),
        ("3.7", True),
    ]


def test_with_a_target_etcd_is_judged_at_what_that_kubernetes_comes_with() -> None:
    etcd = made("etcd", "3.5.9", "--experimental-initial-corrupt-check")
    assert judged(etcd, target="1.37.0") == [("3.7", True)]
    assert judged(etcd, target="1.31.0") == []


def test_what_holds_now_and_later_is_told_once() -> None:
    assert judged(made("kubelet", "1.30.0", "--logtostderr")) == [("1.30.0", True)]


def test_after_the_last_minor_that_is_known_nothing_is_guessed() -> None:
    assert judged(made("kubelet", "1.37.0", "--pod-infra-container-image=p"), kubernetes="1.37.0") == [("1.37.0", True)]
    assert judged(made("kubelet", "1.37.0")) == []


def test_a_target_that_is_not_newer_adds_nothing() -> None:
    assert judged(made("kubelet", "1.24.0", "--pod-infra-container-image=p"), target="1.23.0") == [("1.24.0", False)]


def looked(component: Component, target: str = "", away: dict[str, str] | None = None) -> Looked:
    found = lint.judge("m1", component, target=target, kubernetes="1.30.0")
    return Looked(target, {"m1": (component,)}, tuple(found), away or {})


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (looked(made("kubelet", "1.30.0")), None),
        (looked(made("kubelet", "1.30.0", "--logtostderr")), PreflightError),
        (looked(made("kubelet", "1.30.0", "--pod-infra-container-image=p")), None),
        (looked(made("kubelet", "1.34.0", "--pod-infra-container-image=p")), None),
        (looked(made("kubelet", "1.34.0", "--pod-infra-container-image=p"), target="1.35.0"), PreflightError),
        (looked(made("kubelet", "1.30.0"), away={"m2": "gone"}), PartialError),
        (looked(made("kubelet", "1.30.0", "--logtostderr"), away={"m2": "gone"}), PreflightError),
        (Looked("", {}, (), {"m2": "gone"}), UnreachableError),
    ],
)
def test_how_a_lint_ends(seen: Looked, kind: type[Exception] | None) -> None:
    error = lint.error(seen)
    assert (error is None) if kind is None else isinstance(error, kind)


def component_with(name: str, version: str, running: str = "") -> Component:
    return made(name, version).model_copy(update={"running": running})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"m1": [("kube-apiserver", "1.30.0", "")], "n1": [("kubelet", "1.31.0", "")]}, ["newer than API server"]),
        ({"m1": [("kube-apiserver", "1.30.0", "")], "m2": [("kube-apiserver", "1.32.0", "")]}, ["API servers run"]),
        ({"m1": [("kube-apiserver", "1.31.0", "1.30.0")], "n1": [("kubelet", "1.31.0", "")]}, ["newer", "a restart"]),
        ({"n1": [("kubelet", "1.30.0", ""), ("kube-proxy", "1.26.0", "")]}, ["minors apart"]),
        ({"m1": [("kube-apiserver", "1.30.0", "1.30.0")], "n1": [("kubelet", "1.30.0", "1.30.0")]}, []),
    ],
)
def test_versions_are_judged_beside_each_other(told: dict[str, list[tuple[str, str, str]]], said: list[str]) -> None:
    every = {host: tuple(component_with(*each) for each in parts) for host, parts in told.items()}
    messages = sorted(finding.message for finding in lint._beside_each_other(every))
    assert len(messages) == len(said)
    assert all(any(words in message for message in messages) for words in said)


def runs_with(issuer: str, key: str) -> MasterFacts:
    flags = {"service-account-issuer": issuer, "service-account-key-file": "/k", "advertise-address": key}
    return MasterFacts(components={"kube-apiserver": flags}, files={"/k": key * 64})


def test_masters_with_another_issuer_or_key_are_told_and_one_that_is_away_is_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: dict[str, MasterFacts | UnreachableError] = {
        "m1": runs_with("i", "a"),
        "m2": runs_with("i", "a").model_copy(update={"components": {}}),
        "m3": runs_with("other", "b"),
        "m4": UnreachableError("m4 is away"),
    }

    def look(_: object, host: Host) -> MasterFacts:
        found = told[host.name]
        if isinstance(found, UnreachableError):
            raise found
        return found

    monkeypatch.setattr(masters, "look", look)
    hosts = [Host(name=name, connection=Connection(address=f"10.0.0.{name[1]}")) for name in told]
    away = dict[str, str]()
    judged = {name: (made("kube-apiserver", "1.30.0"),) for name in told}
    found = list(lint._masters_alike(cast("Any", None), hosts, judged, away))
    key, issuer = "bbbbbbbbbbbbbbbb here, aaaaaaaaaaaaaaaa there", "other here, i there"
    assert [(f.host, f.check, f.error, f.message) for f in found] == [
        ("m3", "alike", True, f"kube-apiserver --service-account-key-file: another file ({key}) (m1)"),
        ("m3", "alike", True, f"kube-apiserver --service-account-issuer: {issuer} (m1)"),
    ]
    assert away == {"m4": "m4 is away"}
    # One master alone is not asked a second time.
    assert list(lint._masters_alike(cast("Any", None), hosts[3:], judged, {})) == []
