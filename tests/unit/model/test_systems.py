from __future__ import annotations

from pathlib import PurePosixPath

import jinja2
import pytest
from ruamel.yaml import YAML

from scaler import assets
from scaler.gateways.templates import render
from scaler.model import systems
from tests.golden.test_rendered import VALUES

PURPOSES = {
    "containerd",
    "runc",
    "cni_plugins",
    "conntrack",
    "socat",
    "ipset",
    "ipvsadm",
    "iptables",
    "nft",
    "haproxy",
    "nginx",
    "keepalived",
    "ca_certificates",
}


@pytest.mark.parametrize(
    ("os_id", "family"),
    [
        ("debian", "debian"),
        ("ubuntu", "debian"),
        ("rocky", "rhel"),
        ("openEuler", "openeuler"),
        ("kylin", "kylin"),
        ("alpine", ""),
        ("", ""),
    ],
)
def test_a_system_is_known_by_its_id_and_never_guessed(os_id: str, family: str) -> None:
    assert systems.family(os_id) == family


@pytest.mark.parametrize("name", systems.systems())
def test_each_system_has_a_package_for_every_purpose_and_whole_paths(name: str) -> None:
    system = systems.systems()[name]
    assert set(system.packages) == PURPOSES
    assert all(system.packages.values())
    paths = (system.cni_dir, system.ctr, system.ca_trust, system.nginx_modules)
    assert all(PurePosixPath(path).is_absolute() for path in paths)


def test_no_id_belongs_to_two_systems() -> None:
    every = [each for system in systems.systems().values() for each in system.ids]
    assert len(every) == len(set(every))


def variables(name: str) -> dict[str, str]:
    """Return the roles' variables that hang on the system, as Ansible makes them out of its defaults."""
    table = YAML(typ="safe", pure=True).load(systems.TABLE.read_text(encoding="utf-8"))
    given = {**table, "operating_system": name, "runtime_source": "distribution", "bin_dir": "/usr/local/bin"}
    found = {}
    for role in ("nginx", "images"):
        text = (assets.PLAYBOOKS / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8")
        for key, value in YAML(typ="safe", pure=True).load(text).items():
            if "_operating_systems" in str(value):
                found[key] = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(value).render(given)  # noqa: S701
    return found


@pytest.mark.parametrize("name", systems.systems())
def test_nginx_and_the_import_of_images_have_the_systems_paths(name: str) -> None:
    system, found = systems.systems()[name], variables(name)
    config = render("nginx/nginx.conf.j2", **{**VALUES, **found})
    assert f"include {system.nginx_modules};\n" in config
    assert f"user {system.nginx_user};\n" in config
    unit = render("images/scaler-images.service.j2", **{**VALUES, **found})
    assert f"ExecStart={system.ctr} -n k8s.io" in unit
