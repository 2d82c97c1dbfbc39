from __future__ import annotations

from scaler.model.etcd import Member
from scaler.plan.membership import initial_cluster

URL = "https://10.0.0.9:2380"


def member(number: int, name: str = "", *, url: str = URL, learner: bool = False) -> Member:
    return Member.model_validate({"ID": number, "name": name, "peerURLs": [url], "isLearner": learner})


def test_the_initial_cluster_comes_from_the_answer_and_not_from_names_that_never_started() -> None:
    told = (member(1, "m1", url="https://10.0.0.1:2380"), member(9, learner=True))
    assert initial_cluster(told, "m9", URL) == f"m1=https://10.0.0.1:2380,m9={URL}"
