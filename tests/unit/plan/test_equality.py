from __future__ import annotations

import pytest

from scaler.plan.equality import Row, Table
from scaler.plan.etcd_versions import parsed, refusal, traps

VOTERS = Row(title="etcd's voters", hosts=("e1", "e2"), of_etcd=True)
MASTERS = Row(title="masters", hosts=("m1", "m2"))


def table(*rows: Row, learners: int = 0) -> Table:
    return Table(rows=(VOTERS, MASTERS, *rows), learners=learners)


def test_sets_of_etcd_and_of_masters_are_compared_each_with_its_own_kind() -> None:
    same = (Row(title="list", hosts=("e2", "e1"), of_etcd=True), Row(title="backends", hosts=("m2", "m1")))
    assert table(*same).differences() == []


def test_what_a_set_lacks_and_what_it_has_too_much_are_two_sentences() -> None:
    told = table(Row(title="backends of lb1", hosts=("m2", "m3", "m4"))).differences()
    assert told == [
        "backends of lb1 lacks m1, which masters has",
        "backends of lb1 has m3, m4, which masters has not",
    ]


def test_a_learner_is_a_difference_of_its_own() -> None:
    assert table(learners=1).differences() == ["1 learners in etcd"]


def test_every_host_of_any_set_is_named_once_in_the_order_of_its_first_naming() -> None:
    assert table(Row(title="backends", hosts=("m3", "m1"))).hosts == ("e1", "e2", "m1", "m2", "m3")


def test_a_table_without_rows_has_no_differences() -> None:
    assert Table(rows=()).differences() == []


@pytest.mark.parametrize(("version", "fit"), [("3.3.27", False), ("2.3.8", False), ("3.4.0", True), ("3.10.2", True)])
def test_members_are_added_only_with_learners(version: str, fit: bool) -> None:  # noqa: FBT001
    assert (refusal(version) == "") is fit


@pytest.mark.parametrize("version", ["3.5.1", "3.5.9", "3.5.19"])
def test_a_version_whose_promotions_do_not_last_is_told_where_to_go_first(version: str) -> None:
    (told,) = traps(version)
    assert "voters come back as learners; go to 3.5.26 or newer before 3.6" in told


@pytest.mark.parametrize("version", ["3.5.20", "3.5.23", "3.6.0", "3.6.3"])
def test_a_version_that_may_carry_an_unpersisted_promotion_is_told(version: str) -> None:
    assert "newer patches mend it" in traps(version)[0]


@pytest.mark.parametrize("version", ["3.4.23", "3.5.0", "3.5.24", "3.5.26", "3.6.4", "3.7.0"])
def test_other_versions_have_no_trap(version: str) -> None:
    assert traps(version) == ()


def test_versions_are_compared_as_numbers() -> None:
    assert parsed("3.10.1") > parsed("3.9.20")
