"""What the pages show of executions and their jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from launcher.views.graph import HEIGHT, WIDTH, Box, Graph, draw
from service.times import spell_duration

# The colour of each state of a job or an execution; others look like waiting.
LOOKS = {
    "running": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
    "drained": "cancelled",
    "updated": "cancelled",
    "unknown": "cancelled",
    "skipped": "skipped",
}
LONGEST_NAME = 22  # characters that fit into a box
NEVER = datetime.max.replace(tzinfo=UTC)
MOST_BARS = 60
BAR, BARS_HEIGHT, LEAST_BAR = 16, 64, 3  # pixels: from bar to bar, of the highest, of the lowest


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A step of an execution and its job, which the runner knows by `job_name` and `job_id`."""

    name: str
    kind: str
    state: str
    needs: tuple[str, ...] = ()
    attempt: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    job_name: str = ""
    job_id: str = ""
    log_link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionView:
    """A chain's execution for a slot, with its jobs in the order of the file.

    `may_change`: it may still change by itself.
    """

    id: str
    chain: str
    slot: datetime
    state: str
    may_change: bool
    attempt: int = 1
    is_cancelled: bool = False
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    jobs: tuple[JobView, ...] = ()

    @property
    def done(self) -> int:
        """How many jobs of the execution have succeeded."""
        return sum(job.state == "succeeded" for job in self.jobs)

    @property
    def first_failure(self) -> JobView | None:
        """The job that failed first, if one has failed."""
        failed = [job for job in self.jobs if job.state == "failed"]
        return min(failed, key=lambda job: job.ended or NEVER, default=None)


@dataclass(frozen=True, slots=True)
class Node:
    """A box of the picture and its texts."""

    box: Box
    job: JobView
    text: str
    about: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The graph of a chain, for the template."""

    graph: Graph
    nodes: tuple[Node, ...]
    box_width: int = WIDTH
    box_height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Bar:
    """An execution in the picture of durations: the left edge and the height of its bar."""

    execution: ExecutionView
    x: int
    height: float


def bars(executions: Sequence[ExecutionView], now: datetime) -> tuple[Bar, ...]:
    """The durations of the newest executions that have begun, the oldest on the left.

    `executions` are newest first. The longest that has ended has the full height, and so have those
    that take longer.
    """
    begun = [each for each in executions if each.started][:MOST_BARS][::-1]
    took = [_seconds(each.started or now, each.ended, now) for each in begun]
    ended = [seconds for each, seconds in zip(begun, took, strict=True) if each.ended]
    longest = max(ended or took, default=0) or 1
    return tuple(
        Bar(each, BAR * place, _height(min(1.0, seconds / longest)))
        for place, (each, seconds) in enumerate(zip(begun, took, strict=True))
    )


def _height(share: float) -> float:
    return round(max(LEAST_BAR, BARS_HEIGHT * share), 1)


def picture(chain: ExecutionView, now: datetime) -> Picture:
    """The graph of a chain."""
    graph = draw({job.name: job.needs for job in chain.jobs})
    jobs = {job.name: job for job in chain.jobs}
    return Picture(graph, tuple(_node(box, jobs[box.name], now) for box in graph.boxes))


def _node(box: Box, job: JobView, now: datetime) -> Node:
    cut = job.name[: LONGEST_NAME - 1] + "…" if len(job.name) > LONGEST_NAME else job.name
    took = duration(job.started, job.ended, now)
    return Node(box, job, cut, f"{job.state}, {took}" if took else job.state)


def look(state: str) -> str:
    """The colour of a state: one of those that the style sheet knows."""
    return LOOKS.get(state, "waiting")


def duration(started: datetime | None, ended: datetime | None, now: datetime) -> str:
    """How long something took, or has taken until now; empty if it has not begun.

    >>> from datetime import UTC
    >>> start = datetime(2015, 1, 11, tzinfo=UTC)
    >>> duration(start, start + timedelta(seconds=3725), start)
    '1 h 02 min'
    """
    return "" if started is None else spell_duration((ended or now) - started)


def _seconds(started: datetime, ended: datetime | None, now: datetime) -> int:
    return max(0, round(((ended or now) - started) / timedelta(seconds=1)))
