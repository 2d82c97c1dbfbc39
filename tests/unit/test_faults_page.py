"""The page of faults cannot lie: every row is there, every test that it names exists, what is not shown is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reference" / "faults.md"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)(?:\[([^\]]+)\])?`")
# Not code: a test may be inside a class, and nothing else is called so.
DEFINED = re.compile(r"^\s*def (test_\w+)\(", re.MULTILINE)


class Row(NamedTuple):
    """One fault and the tests that show it."""

    number: int
    fault: str
    reaction: str
    shown: str


def _rows() -> list[Row]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [Row(int(number), fault, reaction, shown) for number, fault, reaction, shown in cells]


ROWS = _rows()


def test_every_fault_has_its_row_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 71))
    assert all(row.fault and row.reaction and row.shown for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_every_test_that_a_row_names_exists(row: Row) -> None:
    if row.shown.startswith("not yet: "):
        return
    named = NAMED.findall(row.shown)
    assert named, "a row names a test or says that it is not yet shown"
    # Nothing stands in the cell beside the tests.
    assert NAMED.sub("", row.shown).strip(", ") == ""
    for file, test, case in named:
        text = (TESTS / file).read_text(encoding="utf-8")
        assert test in DEFINED.findall(text), f"{file} has no {test}"
        assert case in text, f"{file} has no case {case!r}"


def test_what_is_not_shown_yet_is_said_at_the_head_of_the_page() -> None:
    (told,) = re.findall(r"^Not yet shown: (.+)\.$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = [] if told == "none" else [int(number) for number in told.split(", ")]
    assert listed == [row.number for row in ROWS if row.shown.startswith("not yet: ")]
