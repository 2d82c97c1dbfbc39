"""Measure how long adding workers takes: ``python -m benchmarks.add_node``, as root.

It makes a lab of its own (``scaler lab up --name bench``) and takes it down again, unless it was there before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import table
from benchmarks.bed import Bed, fence, packets_to_others
from benchmarks.contenders import collect, floor, plain, with_scaler
from scaler import assets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.contenders import Assets, Sample
    from scaler.lab.host import Host

PAGE = assets.PLAYBOOKS.parent / "docs" / "benchmarks.md"
OTHERS = {table.FEW: 5, table.MANY: 1000}


class Benchmark:
    """One run of all rounds."""

    def __init__(self, bed: Bed, at_hand: Assets) -> None:
        self._bed = bed
        self._at_hand = at_hand
        self.figures = table.Figures()

    def round(self, number: int, workers: Sequence[int]) -> None:
        """Measure every case once; scaler and the playbook take turns at being first."""
        for count in workers:
            hosts = self._bed.workers[:count]
            self._bed.standby(self._bed.workers)
            self._keep(table.FLOOR, count, floor(self._bed, hosts, self._at_hand.bundle))
            turns = (self._scaler, self._plain)
            for turn in turns if number % 2 == 0 else reversed(turns):
                turn(hosts)
                self._bed.standby(hosts)
        self._with_others(number)

    def _scaler(self, hosts: Sequence[Host]) -> None:
        self._keep(table.SCALER, len(hosts), with_scaler(self._bed, hosts))
        if len(hosts) == 1:
            self._keep(table.AGAIN, 1, with_scaler(self._bed, hosts))

    def _plain(self, hosts: Sequence[Host]) -> None:
        self._keep(table.PLAIN, len(hosts), plain(self._bed, hosts, self._at_hand.proxy))

    def _with_others(self, number: int) -> None:
        host = self._bed.workers[0]
        turns = list(OTHERS.items())
        for what, count in turns if number % 2 == 0 else reversed(turns):
            self._bed.standby([host])
            self._bed.with_others(count)
            with fence():
                self._keep(what, 1, with_scaler(self._bed, [host]))
                self.figures.packets += packets_to_others()

    def _keep(self, what: str, workers: int, sample: Sample) -> None:
        self.figures.add(what, workers, sample)
        print(
            f"{what}, {workers}: {sample.seconds:.2f} s ({sample.before_join:.2f} s before the join)", file=sys.stderr
        )


def main() -> None:
    """Run all rounds, print the report, and put it into the page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3, help="measurements of each case (3)")
    options.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="how many at once (1 2 4)")
    options.add_argument("--lab", default="bench", help="the lab's name (bench)")
    options.add_argument("--keep", action="store_true", help="leave the lab up")
    options.add_argument("--page", type=Path, default=PAGE, help="where the figures go (docs/benchmarks.md)")
    given = options.parse_args()
    workers = sorted({1, *given.workers})
    bed = Bed(given.lab, max(workers))
    try:
        with tempfile.TemporaryDirectory(prefix="scaler-bench-") as directory:
            benchmark = Benchmark(bed, collect(bed, Path(directory)))
            for number in range(given.rounds):
                print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
                benchmark.round(number, workers)
        # First of all: what was measured must not depend on how the lab ends.
        report = table.markdown(benchmark.figures, workers)
        print(report)
        table.put(given.page, report)
    finally:
        bed.close(keep=given.keep)


if __name__ == "__main__":
    main()
