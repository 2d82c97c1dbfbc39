from __future__ import annotations

import itertools

import pytest

from scaler.plan.quorum import Request, Seen, even, leaving, quorum, refusal, tolerance


def states(largest: int) -> list[tuple[Seen, ...]]:
    """Return every cluster of up to ``largest`` voters, each healthy or not, with no learner, ours or a foreign one."""
    found = []
    for size in range(1, largest + 1):
        for healths in itertools.product((True, False), repeat=size):
            voters = tuple(Seen(f"m{n}", healthy=health) for n, health in enumerate(healths))
            learners = [(), (Seen("l", voter=False, ours=True),), (Seen("x", voter=False, healthy=False),)]
            found += [(*voters, *learner) for learner in learners]
    return found


def requests(members: tuple[Seen, ...]) -> list[Request]:
    names = [m.name for m in members]
    return [
        Request("add", "new"),
        *(Request("remove", name) for name in names),
        *(Request("replace", name) for name in names),
    ]


CASES = [(members, request) for members in states(7) for request in requests(members)]


def healthy(members: list[Seen]) -> int:
    return sum(m.healthy for m in members)


def has_quorum(voters: list[Seen]) -> bool:
    return bool(voters) and healthy(voters) >= quorum(len(voters))


def test_no_allowed_change_ever_leaves_the_voters_without_quorum() -> None:
    for members, request in CASES:
        if refusal(members, request):
            continue
        voters = [m for m in members if m.voter]
        after = [m for m in voters if request.verb == "add" or m.name != request.name]
        assert has_quorum(voters), (members, request)
        assert has_quorum(after), (members, request)
        if request.verb != "remove":
            assert has_quorum([*after, Seen("new")]), (members, request)


def test_an_add_is_allowed_exactly_where_all_voters_are_healthy_and_no_foreign_learner_is_there() -> None:
    for members, request in CASES:
        if request.verb == "add":
            fit = all(m.healthy for m in members if m.voter) and all(m.voter or m.ours for m in members)
            assert (refusal(members, request) == "") is fit, members


def test_a_dead_voter_may_leave_wherever_the_others_are_all_healthy_and_are_a_quorum_with_it() -> None:
    for members, request in CASES:
        voters = [m for m in members if m.voter]
        dead = [m.name for m in voters if not m.healthy]
        if dead == [request.name] and request.verb in {"remove", "replace"} and has_quorum(voters):
            foreign = any(not m.voter and not m.ours for m in members)
            assert (refusal(members, request) == "") is not foreign, (members, request)


def test_a_healthy_voter_never_leaves_before_a_dead_one() -> None:
    for members, request in CASES:
        others = [m for m in members if m.voter and m.name != request.name]
        well = any(m.name == request.name and m.healthy for m in members)
        if request.verb == "remove" and well and any(not m.healthy for m in others):
            assert refusal(members, request), (members, request)


def test_a_dead_voter_may_leave_though_another_is_down_wherever_the_rest_keeps_its_quorum() -> None:
    for members, request in CASES:
        voters = [m for m in members if m.voter]
        after = [m for m in voters if m.name != request.name]
        sick = any(m.name == request.name and not m.healthy for m in voters)
        if request.verb == "remove" and sick and all(m.voter or m.ours for m in members):
            fit = has_quorum(voters) and has_quorum(after)
            assert (refusal(members, request) == "") is fit, (members, request)


def test_of_several_the_broken_one_leaves_first() -> None:
    five = [Seen("a"), Seen("b"), Seen("c"), Seen("d", healthy=False), Seen("e", healthy=False)]
    assert leaving(five, ["a", "e", "d"]) == (("e", "d", "a"), "")


def test_several_do_not_leave_where_one_of_them_may_not() -> None:
    _, told = leaving([Seen("a"), Seen("b"), Seen("c", healthy=False)], ["a", "b", "c"])
    assert told == "b is the last voter"
    five = [Seen("a"), Seen("b"), Seen("c"), Seen("d"), Seen("e", healthy=False)]
    assert leaving(five, ["a"])[1] == "e is down: that one goes first"


def test_the_last_voter_stays() -> None:
    assert refusal([Seen("m1")], Request("remove", "m1")) == "m1 is the last voter"


def test_every_refusal_of_a_lost_quorum_has_its_arithmetic() -> None:
    told = refusal([Seen("a"), Seen("b", healthy=False)], Request("add", "c"))
    assert told == "1 of 2 voters are healthy, quorum is 2: no quorum, nothing can be changed"


def test_an_add_with_a_voter_down_is_refused_with_the_arithmetic() -> None:
    told = refusal([Seen("a"), Seen("b"), Seen("c", healthy=False)], Request("add", "d"))
    assert told == (
        "2 of 3 voters are healthy, quorum is 2 (c is not): with one more it would be 4 voters, quorum 3, "
        "and 1 already down"
    )


@pytest.mark.parametrize(
    ("voters", "needed", "may_fail"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2), (6, 4, 2), (7, 4, 3)]
)
def test_quorum_and_tolerance(voters: int, needed: int, may_fail: int) -> None:
    assert (quorum(voters), tolerance(voters)) == (needed, may_fail)


def test_an_even_number_is_told_with_the_arithmetic_and_an_odd_one_is_not() -> None:
    assert "4 voters (quorum 3) stand 1 failures, no more than 3 (quorum 2) do" in even(4)
    assert even(3) == ""
