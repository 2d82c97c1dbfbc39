"""What is not documented fails: every command, option, step, check, driver, variable and exit code has its heading."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

import scaler
from scaler import checks, drivers, steps
from scaler.cli.main import app
from scaler.drivers import cloud
from scaler.errors import ScalerError
from scaler.steps.world import Irreversible

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SHARED = {"--cluster", "--plan", "--yes", "--output"}


def _sections(page: str) -> dict[str, str]:
    """Each heading of a page with the text below it."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    parts = re.split(r"^#{1,4} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, child in command.commands.items():
        yield from _commands(child, f"{path} {name}")


COMMANDS = dict(_commands(typer.main.get_command(app), "scaler"))


def _modules(package: str, attribute: str) -> set[str]:
    parent = importlib.import_module(package)
    names = {module.name for module in pkgutil.iter_modules(parent.__path__)}
    return {name for name in names if hasattr(importlib.import_module(f"{package}.{name}"), attribute)}


def _names(package: str) -> set[str]:
    return {check.name for check in checks.found(package)}


def _errors(kind: type[ScalerError]) -> Iterator[type[ScalerError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _errors(child)


def _all_errors() -> list[type[ScalerError]]:
    """Every error there is, wherever it is defined."""
    for module in pkgutil.walk_packages(scaler.__path__, "scaler."):
        if not module.name.endswith("_script"):  # such a one runs when it is imported
            importlib.import_module(module.name)
    return sorted(set(_errors(ScalerError)), key=lambda error: error.kind)


def _variables() -> set[str]:
    sources = Path(scaler.__file__).parent.rglob("*.py")
    return set(
        re.findall(r"\"(SCALER_[A-Z]+(?:_[A-Z]+)*)\"", "\n".join(p.read_text(encoding="utf-8") for p in sources))
    )


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_its_heading_and_exit_codes(command: str) -> None:
    assert "\nExit codes: " in _sections("commands.md")[f"`{command}`"]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_of_a_command_is_explained(command: str) -> None:
    section = _sections("commands.md")[f"`{command}`"]
    options = {flag for p in COMMANDS[command].params for flag in p.opts if flag.startswith("--")} - {"--help"}
    assert {flag for flag in options if f"`{flag}`" not in section} == set()


def test_every_shared_option_is_explained_once() -> None:
    assert {flag for flag in SHARED if f"`{flag}`" not in _sections("commands.md")["Commands"]} == set()


def test_no_command_is_explained_that_does_not_exist() -> None:
    headings = {heading.strip("`") for heading in _sections("commands.md") if heading != "Commands"}
    assert headings == set(COMMANDS)


def test_every_verb_of_the_lab_is_explained() -> None:
    verbs = re.findall(r"^\| `([a-z]+)(?:=SECONDS)?` \|", _sections("commands.md")["`scaler lab do`"], re.MULTILINE)
    argument = next(p for p in COMMANDS["scaler lab do"].params if p.name == "verb")
    assert {verb for verb in verbs if verb not in argument.help} == set()
    assert len(verbs) == argument.help.count(",") + 1


def test_every_step_has_its_heading_and_undo() -> None:
    sections = _sections("steps.md")
    assert {heading.strip("`") for heading in sections if heading != "Steps"} == _modules("scaler.steps", "STEP")
    assert {heading for heading, text in sections.items() if heading != "Steps" and "\nUndo: " not in text} == set()


def test_a_step_that_takes_something_back_says_so() -> None:
    sections = _sections("steps.md")
    nothing = {name for name in _modules("scaler.steps", "STEP") if "\nUndo: none." in sections[f"`{name}`"]}
    assert nothing == {name for name in _modules("scaler.steps", "STEP") if isinstance(steps.find(name), Irreversible)}


@pytest.mark.parametrize("name", sorted(_names("preflight")))
def test_every_preflight_check_has_its_heading_and_remedy(name: str) -> None:
    section = _sections("checks.md")[f"`{name}`"]
    assert re.findall(r"^(Looks at|Refuses|Remedy): ", section, re.MULTILINE) == ["Looks at", "Refuses", "Remedy"]


@pytest.mark.parametrize("name", sorted(_names("join")))
def test_every_join_check_has_its_heading_and_remedy(name: str) -> None:
    section = _sections("checks.md")[f"`{name}`"]
    assert re.findall(r"^(Looks at|Fails|Remedy): ", section, re.MULTILINE) == ["Looks at", "Fails", "Remedy"]


def test_no_check_is_explained_that_does_not_exist() -> None:
    headings = {heading.strip("`") for heading in _sections("checks.md") if heading.startswith("`")}
    assert headings == _names("preflight") | _names("join")


@pytest.mark.parametrize("name", sorted(drivers.found("cni")))
def test_every_cni_driver_has_its_heading(name: str) -> None:
    assert f"`{name}`" in _sections("cni.md")


@pytest.mark.parametrize("name", sorted(drivers.found("lb")))
def test_every_load_balancer_driver_has_its_heading(name: str) -> None:
    assert f"`{name}`" in _sections("load-balancers.md")


@pytest.mark.parametrize("name", cloud.kinds())
def test_every_cloud_has_its_page_with_what_it_needs(name: str) -> None:
    headings = "\n".join(_sections(f"clouds/{name}.md")).lower()
    wanted = ("permissions", "what a size means", "limits", "never run against the real service")
    assert [word for word in wanted if word not in headings] == []


def test_every_kind_of_driver_is_looked_for_here() -> None:
    assert {module.name for module in pkgutil.iter_modules(drivers.__path__) if module.ispkg} == {"cni", "cloud", "lb"}


def test_every_exit_code_and_kind_has_its_heading() -> None:
    text = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    code, found = "", {("0", "done")}
    for level, heading in re.findall(r"^(#{2,3}) (.+)$", text, re.MULTILINE):
        code, kind = heading.split(": ") if level == "##" else (code, heading)
        found.add((code, kind.strip("`")))
    assert found == {("0", "done")} | {(str(error.exit_code), error.kind) for error in _all_errors()}


@pytest.mark.parametrize("name", sorted(_variables()))
def test_every_environment_variable_is_explained(name: str) -> None:
    assert f"| `{name}` |" in _sections("output.md")["Environment"]
