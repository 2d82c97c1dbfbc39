from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml.comments import TaggedScalar

from scaler.gateways.playbooks import NO_RESULT, UNREACHABLE, RunnerPlaybooks, _inventory, _Results, _yaml
from tests.fakes.world import host

SNEAKY = "{{ lookup('pipe', 'touch canary') }}"


def inventory_of(**told: Any) -> str:
    key = Path("/keys/{{ 7 * 7 }}")
    hosts = [host("n1", 11, user="ops", port=2222, key=key, jump="10.0.0.9:22", jump_user="hop"), host("n2", 12)]
    out = io.StringIO()
    _yaml().dump(_inventory("workers", hosts, told.get("variables", {}), told.get("host_variables", {})), out)
    return out.getvalue()


def untagged(value: Any, path: str = "") -> list[str]:
    """Return where a string stands that Ansible would take for a template."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in untagged(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for number, inner in enumerate(value) for found in untagged(inner, f"{path}.{number}")]
    if isinstance(value, TaggedScalar):
        assert value.tag.value == "!unsafe"
        return []
    return [path] if isinstance(value, str) else []


def test_every_string_of_the_inventory_is_data() -> None:
    variables = {
        "a": SNEAKY,
        "list": [SNEAKY, {"deep": SNEAKY}],
        "tuple": (SNEAKY,),
        "map": {"deep": {"deeper": SNEAKY}},
        "path": Path("/a/{{ b }}"),
        "number": 7,
        "flag": True,
        "nothing": None,
    }
    text = inventory_of(variables=variables, host_variables={"n1": {"own": SNEAKY}})
    assert untagged(YAML().load(text)) == []
    assert "/keys/{{ 7 * 7 }}" in text


def test_values_survive_their_way_into_the_inventory() -> None:
    odd = 'quote " backslash \\ colon: # no comment\nsecond line é'
    told = YAML().load(inventory_of(variables={"odd": odd, "list": ["a", 1], "flag": False}))["all"]["vars"]
    assert told["odd"].value == odd
    assert told["list"][0].value == "a"
    assert told["list"][1] == 1
    assert told["flag"] is False


def test_only_the_hosts_of_the_run_are_in_it_with_how_they_are_reached() -> None:
    told = YAML().load(inventory_of())["all"]["children"]
    assert set(told) == {"workers"}
    assert set(told["workers"]["hosts"]) == {"n1", "n2"}
    first = told["workers"]["hosts"]["n1"]
    assert (first["ansible_user"].value, first["ansible_port"], first["ansible_become"]) == ("ops", 2222, True)
    assert first["ansible_ssh_common_args"].value == "-o ProxyJump=hop@10.0.0.9:22"
    assert told["workers"]["hosts"]["n2"]["ansible_become"] is False


def event(kind: str, name: str, task: str, **result: Any) -> dict[str, Any]:
    ignored = result.pop("ignore_errors", None)
    return {"event": kind, "event_data": {"host": name, "task": task, "res": result, "ignore_errors": ignored}}


def end(*well: str, failed: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the last event of a run: how many tasks went well or failed on each host."""
    counts = {"ok": dict.fromkeys((*well, *failed), 1), "failures": dict.fromkeys(failed, 1), "dark": {}}
    return {"event": "playbook_on_stats", "event_data": counts}


def test_each_host_has_its_own_result() -> None:
    results = _Results(None)
    results.hear(event("runner_on_ok", "n1", "place the files", changed=True, payload_bytes=10))
    results.hear(event("runner_on_ok", "n2", "place the files", changed=False))
    results.hear(event("runner_on_failed", "n3", "place the files", msg="no room", stderr="df says so"))
    results.hear(end("n1", "n2", failed=("n3",)))
    assert results.of("n1").changed
    assert results.of("n1").results["place the files"]["payload_bytes"] == 10
    assert (results.of("n2").changed, results.of("n2").failure) == (False, "")
    assert results.of("n3").failure == "place the files: no room\ndf says so"


def test_a_host_that_was_lost_is_told_as_lost() -> None:
    results = _Results(None)
    results.hear(event("runner_on_ok", "n1", "first", changed=True))
    results.hear(event("runner_on_unreachable", "n1", "second", msg="Failed to connect"))
    assert results.of("n1").failure == f"{UNREACHABLE}: second: Failed to connect"
    assert results.of("n1").changed


def test_a_host_without_any_result_has_failed() -> None:
    results = _Results(None)
    assert not results.heard
    results.hear(event("runner_on_ok", "n1", "first"))
    results.hear(end("n1"))
    assert (results.of("n1").failure, results.of("n2").failure) == ("", NO_RESULT)
    assert results.heard


def test_a_failure_whose_event_was_lost_is_no_success() -> None:
    results = _Results(None)
    results.hear(event("runner_on_ok", "n1", "first", changed=True))
    results.hear(end("n2", failed=("n1",)))
    assert results.of("n1").failure == NO_RESULT
    assert results.of("n1").changed


def test_without_the_last_event_nothing_is_believed_but_a_failure() -> None:
    results = _Results(None)
    results.hear(event("runner_on_ok", "n1", "first"))
    results.hear(event("runner_on_failed", "n2", "first", msg="no room"))
    assert results.of("n1").failure == NO_RESULT
    assert results.of("n2").failure == "first: no room"


def test_a_failure_that_the_playbook_ignores_is_none() -> None:
    results = _Results(None)
    results.hear(event("runner_on_ok", "n1", "first"))
    results.hear(event("runner_on_failed", "n1", "second", msg="never mind", ignore_errors=True))
    results.hear(end("n1"))
    assert results.of("n1").failure == ""


def test_a_failure_without_words_is_told_as_it_came() -> None:
    results = _Results(None)
    results.hear(event("runner_on_failed", "n1", "first", rc=137))
    assert results.of("n1").failure == 'first: {"rc": 137}'


@pytest.mark.parametrize(
    "odd",
    [
        {"event": "playbook_on_start", "event_data": {}},
        {"event": "verbose"},
        {"event": "runner_on_start", "event_data": {"host": "n1"}},
        {"event": "playbook_on_stats", "event_data": {"host": "n1", "ok": {}}},
    ],
)
def test_events_that_are_no_result_count_for_nothing(odd: dict[str, Any]) -> None:
    results = _Results(None)
    assert results.hear(odd) is False
    assert not results.heard


def test_progress_tells_host_and_task() -> None:
    said: list[str] = []
    _Results(said.append).hear(event("runner_on_ok", "n1", "place the files"))
    assert said == ["n1: place the files"]


def test_host_keys_come_from_the_inventorys_known_hosts_alone(tmp_path: Path) -> None:
    told = RunnerPlaybooks(tmp_path / "known_hosts", tmp_path)._environment()["ANSIBLE_SSH_ARGS"]
    for option in (f"UserKnownHostsFile={tmp_path}/known_hosts", "GlobalKnownHostsFile=/dev/null"):
        assert option in told
    assert "StrictHostKeyChecking=yes" in told
