"""Figures and targets as Markdown: medians, minima, ratios, and by how much a target was missed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.contenders import Sample

Case = tuple[str, int]
"""What was done, and to how many workers."""
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"

FLOOR, SCALER, PLAIN = "raw ssh, tar (the floor)", "scaler add-node", "plain playbook, forks 5"
AGAIN, FEW, MANY = "scaler again, nothing to change", "scaler, 5 other hosts", "scaler, 1000 other hosts"


@dataclass
class Figures:
    """All samples of one run, by case, and the packets that went to hosts that were none of its business."""

    samples: dict[Case, list[Sample]] = field(default_factory=dict)
    packets: int = 0

    def add(self, what: str, workers: int, sample: Sample) -> None:
        """Keep a sample."""
        self.samples.setdefault((what, workers), []).append(sample)

    def seconds(self, what: str, workers: int = 1, *, join: bool = True) -> float:
        """Return the median seconds of a case, with or without the join."""
        return median(s.seconds if join else s.before_join for s in self.samples[what, workers])


@dataclass(frozen=True)
class Target:
    """A bound on a figure."""

    what: str
    figure: float
    bound: float

    def row(self) -> str:
        """Return it as a row: the figure, its bound, and held or by how much missed."""
        if self.figure <= self.bound:
            verdict = "held"
        else:
            by = f"{(self.figure / self.bound - 1) * 100:.0f} %" if self.bound else f"{self.figure:g}"
            verdict = f"missed by {by}"
        return f"| {self.what} | {self.figure:.2f} | {self.bound:g} | {verdict} |"


def targets(figures: Figures, workers: list[int]) -> list[Target]:
    """Return every target that the measured cases allow."""
    s, most = figures.seconds, max(workers)
    found = [
        Target(f"scaler without the join ÷ floor, {n} workers", s(SCALER, n, join=False) / s(FLOOR, n), 3.5)
        for n in workers
    ]
    found += [
        Target(f"scaler, {most} workers ÷ {min(workers)}", s(SCALER, most) / s(SCALER, min(workers)), 1.5),
        *(Target(f"scaler ÷ plain playbook, {n} workers", s(SCALER, n) / s(PLAIN, n), 0.25) for n in workers),
        Target("nothing to change ÷ first run", s(AGAIN) / s(SCALER), 0.25),
        Target("nothing to change: payload bytes", max(x.payload for x in figures.samples[AGAIN, 1]), 0),
        Target("1000 other hosts ÷ 5", s(MANY) / s(FEW), 1.1),
        Target("packets to other hosts", figures.packets, 0),
    ]
    return found


def markdown(figures: Figures, workers: list[int]) -> str:
    """Return the whole report."""
    loads = [sample.load for samples in figures.samples.values() for sample in samples]
    rounds = min(len(samples) for samples in figures.samples.values())
    lines = [
        f"{rounds} rounds, interleaved, on {os.cpu_count()} cores; load average {min(loads):.1f} to {max(loads):.1f}.",
        "",
        "| what | workers | median s | min s | median s without the join | payload MB | load average |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(case, samples) for case, samples in figures.samples.items()),
        "",
        "| target | measured | at most | |",
        "| --- | ---: | ---: | --- |",
        *(target.row() for target in targets(figures, workers)),
    ]
    return "\n".join(lines) + "\n"


def _row(case: Case, samples: list[Sample]) -> str:
    total, rest = [s.seconds for s in samples], [s.before_join for s in samples]
    payload = median(s.payload for s in samples) / 1e6
    load = median(s.load for s in samples)
    figures = f"{median(total):.2f} | {min(total):.2f} | {median(rest):.2f} | {payload:.1f} | {load:.1f}"
    return f"| {case[0]} | {case[1]} | {figures} |"


def put(page: Path, report: str) -> None:
    """Replace what stands between the markers of ``page``."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{report}{END}{after}", encoding="utf-8")
