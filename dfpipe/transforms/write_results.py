"""Writing a run's tables, all or nothing."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import AsSingleton

from dfpipe import progress
from dfpipe.engines.at_launch import value_of
from dfpipe.warehouse import connect
from dfpipe.warehouse.tables import RUNS, WORD_COOCCUR, Run, TableRows


@dataclass
class WriteResults(beam.PTransform):
    """Replace a run's rows in the warehouse, on one worker: they are few, however many posts.

    A bundle that is retried replaces what its first try wrote. `started`, in seconds of the Unix
    epoch, gives the row of the run its duration. In a template the sink may be a ValueProvider and
    `started` what a step gives.
    """

    sink: str
    started: float | AsSingleton

    def expand(self, tables: beam.PCollection) -> beam.PCollection:
        """Take one TableRows, with one Run in RUNS; give the Run as it was written."""
        replace_run = beam.ParDo(_ReplaceRun(self.sink), self.started)
        return tables | "ReplaceRun" >> replace_run.with_output_types(Run)


class _ReplaceRun(beam.DoFn):
    def __init__(self, sink: str) -> None:
        self.sink = sink

    def process(self, tables: TableRows, started: float) -> Iterable[Run]:
        progress.stage("writing")
        run = cast(Run, tables[RUNS][0])
        rows = {table: some for table, some in tables.items() if table != RUNS}
        written = replace(run, seconds=time.time() - started)
        connect(value_of(self.sink)).replace_run(written, rows)
        for name, n in _figures(written, rows).items():
            Metrics.counter("dfpipe", name).inc(n)
        yield written


def _figures(run: Run, rows: TableRows) -> dict[str, int]:
    """Return the figures of a run as counters, which reach the launching process on any runner."""
    return {
        "posts_analysed": run.tweets,
        "words_distinct": run.words,
        "urls_distinct": run.urls,
        "pairs_ranked": len(rows.get(WORD_COOCCUR, ())),
        "rows_written": 1 + sum(map(len, rows.values())),
    }
