from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from scaler import assets
from scaler.gateways.templates import render
from tests.golden.test_rendered import VALUES

if TYPE_CHECKING:
    from pathlib import Path

TEMPLATES = sorted(p.relative_to(assets.TEMPLATES).as_posix() for p in assets.TEMPLATES.rglob("*") if p.is_file())
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
