from __future__ import annotations

import hashlib
import importlib.util
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from scaler import assets
from scaler.gateways.templates import render
from tests.golden.test_rendered import OF_THE_CONTROLLER, VALUES

if TYPE_CHECKING:
    from pathlib import Path

FOUND = (p.relative_to(assets.TEMPLATES).as_posix() for p in assets.TEMPLATES.rglob("*") if p.is_file())
TEMPLATES = sorted(name for name in FOUND if not name.startswith(OF_THE_CONTROLLER))
EVERYTHING = {
    **VALUES,
    "kubernetes_version": "1.20.2",
    "secret": "c2VjcmV0",
    "ca": "Q0E=",
    "server": "https://10.0.0.5:6443",
    "user": "kubelet-bootstrap",
    "token": "abcdef.0123456789abcdef",
    "certificate": "",
    "key": "",
}


def plugin(variables: dict[str, Any]) -> Any:
    """Return the action plugin as Ansible makes it, but for what it needs to reach a host."""
    spec = importlib.util.spec_from_file_location("plugin", assets.PLAYBOOKS / "action_plugins" / "scaler_bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.ActionModule.__new__(module.ActionModule)
    made._templar = Templar(loader=DataLoader(), variables=variables)
    return made


@pytest.mark.parametrize("template", TEMPLATES)
def test_ansible_renders_the_same_bytes_as_scaler(template: str) -> None:
    assert plugin(EVERYTHING)._content("template", template, EVERYTHING) == render(template, **EVERYTHING).encode()


def test_a_variable_that_is_made_from_others_is_rendered_with_its_value() -> None:
    variables = {**EVERYTHING, "node_name": trust_as_template("{{ cluster_name }}-n1")}
    text = plugin(variables)._content("template", "kube-proxy/config.yaml.j2", variables).decode()
    assert text == render("kube-proxy/config.yaml.j2", **{**EVERYTHING, "node_name": "prod-n1"})


def test_what_an_operator_wrote_is_data_and_no_template() -> None:
    variables = {**EVERYTHING, "kubelet_resolv_conf": "{{ lookup('pipe', 'false') }}"}
    text = plugin(variables)._content("template", "kubelet/config.yaml.j2", variables).decode()
    assert "resolvConf: {{ lookup('pipe', 'false') }}" in text


def test_a_variable_that_is_missing_fails_with_its_name() -> None:
    variables = {name: value for name, value in EVERYTHING.items() if name != "cluster_dns"}
    with pytest.raises(AnsibleActionFail, match=r"kubelet/config\.yaml\.j2: 'cluster_dns' is undefined"):
        plugin(variables)._content("template", "kubelet/config.yaml.j2", variables)


def test_content_and_files_are_sent_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\x00{{ no }}\n")
    made = plugin({})
    assert made._content("content", "{{ no }}", {}) == b"{{ no }}"
    assert made._content("src", str(tmp_path / "file"), {}) == b"\x00{{ no }}\n"


class _Host(NamedTuple):
    """A host that has a cache, or has none, and what was asked of it and sent to it."""

    cached: bool
    asked: list[dict[str, Any]]
    sent: list[str]


def ran(host: _Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **args: Any) -> Any:
    made = plugin({})
    (tmp_path / "kubelet").write_bytes(b"k")
    digest = hashlib.sha256(b"k").hexdigest()
    (tmp_path / "sums").write_text(f"{digest}  kubelet\n")
    files = [{"dest": "/bin/kubelet", "binary": "kubelet"}, {"dest": "/etc/x", "template": "no/such.j2"}]
    task = {"store": str(tmp_path), "manifest": str(tmp_path / "sums"), "files": files[: 2 - bool(args.get("fresh"))]}
    made._task = SimpleNamespace(args={**task, **args}, check_mode=False)

    def module(given: dict[str, Any], _: Any) -> dict[str, Any]:
        host.asked.append(dict(given))
        return {"missing": [] if host.cached or "payload" in given else [digest]}

    monkeypatch.setattr(made, "_module", module)

    def send(blobs: list[tuple[str, Path]]) -> str:
        host.sent.extend(digest for digest, _ in blobs)
        return "payload.tar"

    monkeypatch.setattr(made, "_send", send)
    monkeypatch.setattr(made, "_low_level_execute_command", lambda _: {"rc": 0 if host.cached else 1})
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_: {})
    made.run(task_vars={})
    return digest


def test_a_fresh_host_is_sent_all_at_once_unless_it_has_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, cached = _Host(cached=False, asked=[], sent=[]), _Host(cached=True, asked=[], sent=[])
    digest = ran(bare, tmp_path, monkeypatch, fresh=True)
    ran(cached, tmp_path, monkeypatch, fresh=True)
    assert (bare.sent, len(bare.asked)) == ([digest], 1)
    assert (cached.sent, len(cached.asked)) == ([], 1)


def test_only_binaries_are_brought_ahead_of_time_and_nothing_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = _Host(cached=False, asked=[], sent=[])
    digest = ran(host, tmp_path, monkeypatch, state="cached")
    assert host.sent == [digest]
    assert [file["dest"] for file in host.asked[0]["files"]] == ["/bin/kubelet"]
