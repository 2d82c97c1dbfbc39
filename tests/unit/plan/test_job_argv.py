from __future__ import annotations

from typing import Any

import pytest
import typer
from pydantic import TypeAdapter

from scaler.cli.main import app
from scaler.model.job_actions import Action
from scaler.plan import job_argv

ACTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "workers": ({"do": "scale", "workers": 4}, "scale --workers 4 --cluster prod --yes --output json"),
    "none": (
        {"do": "scale", "workers": 0, "timeout": "0s"},
        "scale --workers 0 --timeout 0s --cluster prod --yes --output json",
    ),
    "pool": (
        {"do": "scale", "pool": "web", "to": 6, "partial": True, "timeout": "5m", "force": True},
        "scale --pool web --to 6 --partial --timeout 300s --force --cluster prod --yes --output json",
    ),
    "cloud": (
        {"do": "scale", "pool": "web", "to": 6, "autoscaler": "pin", "rollback": True},
        "scale --pool web --to 6 --autoscaler pin --rollback --cluster prod --yes --output json",
    ),
    "add": (
        {"do": "add-node", "hosts": ["n1", "n2"], "keep_going": True},
        "add-node n1 n2 --keep-going --cluster prod --yes --output json",
    ),
    "remove": (
        {"do": "remove-node", "hosts": ["n1"], "delete_emptydir_data": True},
        "remove-node n1 --delete-emptydir-data --cluster prod --yes --output json",
    ),
    "verify": ({"do": "verify", "hosts": ["n1"]}, "verify n1 --cluster prod --output json"),
    "status": ({"do": "status"}, "status --cluster prod --output json"),
    "certs": ({"do": "certs", "warn_days": 9}, "status --cluster prod --output json"),
    "snapshot": (
        {"do": "snapshot", "keep": 3, "directory": "/srv/etcd"},
        "snapshot --keep 3 --directory /srv/etcd --cluster prod --output json",
    ),
}


def action(name: str) -> Action:
    told: Action = TypeAdapter(Action).validate_python(ACTIONS[name][0])
    return told


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_the_command_that_a_person_would_type(name: str) -> None:
    assert " ".join(job_argv.command(action(name), "prod")) == ACTIONS[name][1]


def parsed(argv: tuple[str, ...]) -> dict[str, Any]:
    """Let the command line's own parser take ``argv``, as far as before it does something."""
    command: Any = typer.main.get_command(app)
    words = list(argv)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    found: dict[str, Any] = command.make_context(argv[0], words).params
    return found


@pytest.mark.parametrize("name", sorted(set(ACTIONS) - {"verify"}))
def test_the_command_line_takes_it_and_nobody_is_asked(name: str) -> None:
    told = parsed(job_argv.command(action(name), "prod"))
    assert (told["cluster"], told["output"]) == ("prod", "json")
    assert told.get("yes", True) is True
    assert told.get("plan", False) is False


@pytest.mark.parametrize("name", ["workers", "pool", "cloud", "add", "remove"])
def test_a_look_at_what_would_change_plans_the_same_and_consents_to_nothing(name: str) -> None:
    look, act = parsed(job_argv.look(action(name), "prod")), parsed(job_argv.command(action(name), "prod"))
    assert (look.pop("plan"), look.pop("yes"), act.pop("plan"), act.pop("yes")) == (True, False, False, True)
    assert look == act


def test_what_a_job_does_about_runs_and_how_it_looks_are_commands_too() -> None:
    assert parsed(job_argv.resume("r1", "prod"))["run"] == "r1"
    assert parsed(job_argv.roll_back("r1", "prod"))["yes"] is True
    assert parsed(job_argv.status("prod"))["watch"] is False
