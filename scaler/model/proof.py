"""What came of proving that work runs on a node: each check with its outcome, its reason and how long it took."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from scaler.model.base import Value

Outcome = Literal["passed", "failed", "not there"]


class Result(Value):
    """One check on one node; ``reason`` says why it failed, or what is not there that it could look at."""

    check: str
    group: str
    outcome: Outcome
    reason: str = ""
    seconds: float = 0.0


class Proof(Value):
    """One node: its checks, and when its pod had come to each stage of its life, in seconds since it was asked for."""

    node: str
    peers: tuple[str, ...] = ()
    seconds: float = 0.0
    stages: dict[str, float] = Field(default={})
    checks: tuple[Result, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """The checks that do not hold."""
        return tuple(each for each in self.checks if each.outcome == "failed")
