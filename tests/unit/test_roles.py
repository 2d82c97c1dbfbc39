from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from scaler import assets
from scaler.gateways import role_variables
from scaler.model.inventory import Settings

ROLES = sorted(path.name for path in (assets.PLAYBOOKS / "roles").iterdir())


def read(role: str, file: str) -> dict[str, Any]:
    text = (assets.PLAYBOOKS / "roles" / role / file).read_text(encoding="utf-8")
    return YAML(typ="safe", pure=True).load(text) or {}


def defaults(role: str) -> dict[str, Any]:
    return {name: value for name, value in read(role, "defaults/main.yml").items() if not name.startswith("_")}


def options(role: str) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = read(role, "meta/argument_specs.yml")["argument_specs"]["main"].get("options", {})
    return told


@pytest.mark.parametrize("role", ROLES)
def test_every_public_variable_with_a_default_is_an_option(role: str) -> None:
    assert set(defaults(role)) - set(options(role)) == set()


@pytest.mark.parametrize("role", ROLES)
def test_a_required_option_has_no_default(role: str) -> None:
    required = {name for name, option in options(role).items() if option.get("required")}
    assert required & set(defaults(role)) == set()


@pytest.mark.parametrize("role", ROLES)
def test_an_option_without_a_default_is_required_or_one_of_the_settings(role: str) -> None:
    free = {name for name, option in options(role).items() if not option.get("required")} - set(defaults(role))
    optional = {name for name, field in Settings.model_fields.items() if not field.is_required()}
    assert free - optional == set()


@pytest.mark.parametrize("role", ROLES)
def test_every_option_says_its_type_and_what_it_is(role: str) -> None:
    for name, option in options(role).items():
        assert option["type"] in role_variables._TYPES, name
        assert option["description"].endswith("."), name


@pytest.mark.parametrize("role", ROLES)
def test_a_default_is_of_the_options_type(role: str) -> None:
    for name, value in defaults(role).items():
        # A template's type is only known once it is rendered.
        if not (isinstance(value, str) and "{{" in value):
            assert isinstance(value, role_variables._TYPES[options(role)[name]["type"]]), name


@pytest.mark.parametrize("role", ROLES)
def test_the_settings_defaults_are_the_roles_defaults(role: str) -> None:
    for name, value in defaults(role).items():
        field = Settings.model_fields.get(name)
        if field is None or field.is_required():
            continue
        default = field.default
        # What is optional in the settings is empty in a role.
        assert value == ("" if default is None else list(default) if isinstance(default, tuple) else default), name


def test_a_variable_belongs_to_one_role_or_is_of_one_type() -> None:
    seen: dict[str, str] = {}
    for role in ROLES:
        for name, option in options(role).items():
            assert seen.setdefault(name, option["type"]) == option["type"], name
