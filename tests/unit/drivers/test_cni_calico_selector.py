from __future__ import annotations

import pytest

from scaler.drivers.cni_calico_selector import SelectorError, labels_for, matches

RACK = {"rack": "r1", "role": "edge-worker", "projectcalico.org/x": ""}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all()",
        "global()",
        "has(rack)",
        "!has(other)",
        "rack == 'r1'",
        'rack=="r1"',
        "rack != 'r2'",
        "other != 'r2'",
        "rack in {'r1', 'r2'}",
        "rack not in { 'r3' }",
        "other not in {'r3'}",
        "role contains 'work'",
        "role starts with 'edge'",
        "role ends with 'worker'",
        "has(other) || has(rack) && rack == 'r1'",
        "!(has(other) || rack == 'r2')",
        "has(projectcalico.org/x)",
    ],
)
def test_labels_are_selected(text: str) -> None:
    assert matches(text, RACK)


@pytest.mark.parametrize(
    "text",
    [
        "has(other)",
        "!all()",
        "rack == 'r2'",
        "rack in {'r2'}",
        "other in {'r1'}",
        "rack not in {'r1'}",
        "other contains 'x'",
        "has(rack) && has(other)",
        "!has(rack) || has(other)",
    ],
)
def test_labels_are_not_selected(text: str) -> None:
    assert not matches(text, RACK)


@pytest.mark.parametrize("text", ["has(", "rack ==", "rack == r1", "rack ~ 'x'", "a == 'b' c", "some(x)", "rack in {}"])
def test_what_is_no_selector_is_told_as_such(text: str) -> None:
    with pytest.raises(SelectorError, match="selector"):
        matches(text, RACK)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("has(route-reflector)", {"route-reflector": "true"}),
        ("route-reflector == 'yes'", {"route-reflector": "yes"}),
        ("has(a) && b == 'c'", {"a": "true", "b": "c"}),
        ("a == 'b' || c == 'd'", None),
        ("!has(client)", None),
        ("all()", None),
    ],
)
def test_the_labels_that_a_selector_wants_are_found_where_it_is_plain(text: str, labels: dict[str, str] | None) -> None:
    assert labels_for(text) == labels
