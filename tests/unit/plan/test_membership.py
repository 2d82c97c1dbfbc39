from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from scaler.model.etcd import Member
from scaler.plan.membership import Move, initial_cluster, move
from scaler.plan.quorum import quorum

URL = "https://10.0.0.9:2380"


def member(number: int, name: str = "", *, url: str = URL, learner: bool = False) -> Member:
    return Member.model_validate({"ID": number, "name": name, "peerURLs": [url], "isLearner": learner})


@dataclass
class Etcd:
    """A cluster of voters, and one host that is on its way in."""

    voters: int
    new: Member | None = None
    runs: bool = False
    synced: bool = False
    log: list[Move] = field(default_factory=list)

    def do(self, step: Move) -> None:
        self.log.append(step)
        match step:
            case Move.ADD:
                assert self.new is None
                self.new = member(9, learner=True)
            case Move.START:
                assert self.new is not None
                self.new, self.runs = member(9, "m9", learner=True), True
            case Move.WAIT:
                assert self.runs
                self.synced = True
            case Move.PROMOTE:
                assert self.runs, "a learner that does not run is never promoted"
                assert self.synced, "a learner that lags is never promoted"
                self.new = member(9, "m9")

    def next(self) -> Move:
        return move(self.new, answers=self.runs, caught_up=self.synced)

    @property
    def quorate(self) -> bool:
        votes = self.voters + (self.new is not None and not self.new.learner)
        alive = self.voters + (self.new is not None and not self.new.learner and self.runs)
        return alive >= quorum(votes)


@given(voters=st.integers(1, 6), crash=st.integers(0, 5), process_dies=st.booleans())
def test_a_plan_that_is_restarted_from_every_interrupted_prefix_ends_with_a_voter_and_never_loses_quorum(
    *, voters: int, crash: int, process_dies: bool
) -> None:
    etcd = Etcd(voters)
    for step in range(20):
        if step == crash and process_dies and etcd.new is not None and etcd.new.learner:
            etcd.runs = etcd.synced = False  # its host was switched off; the member list still names it
        if etcd.next() is Move.DONE:
            break
        etcd.do(etcd.next())
        assert etcd.quorate
    assert etcd.next() is Move.DONE
    assert etcd.log.count(Move.ADD) == 1
    assert etcd.log.count(Move.PROMOTE) == 1


def test_an_unstarted_voter_is_nothing_to_go_on_from() -> None:
    assert move(member(9), answers=False, caught_up=False) is Move.STUCK


def test_a_named_learner_that_does_not_answer_is_started_not_promoted() -> None:
    assert move(member(9, "m9", learner=True), answers=False, caught_up=True) is Move.START


def test_the_initial_cluster_comes_from_the_answer_and_not_from_names_that_never_started() -> None:
    told = (member(1, "m1", url="https://10.0.0.1:2380"), member(9, learner=True))
    assert initial_cluster(told, "m9", URL) == f"m1=https://10.0.0.1:2380,m9={URL}"
