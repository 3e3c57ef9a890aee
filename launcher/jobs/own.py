"""Steps that the launcher does itself, at once: checking a run, and noting what is rising."""

import json
import logging
from collections.abc import Callable, Mapping

from dfpipe import warehouse
from dfpipe.analysis.level import LEVEL
from dfpipe.errors import DfpipeError, UsageError
from dfpipe.warehouse import Warehouse
from launcher.jobs import (
    JobSpec,
    JobState,
    JobStatus,
    LaunchRefusedError,
    UnavailableError,
    UnknownJobError,
)
from service.times import rfc3339

NOTED = 10  # stories
# What the webhook gets of each.
WEBHOOK_FIELDS = (
    "w1",
    "w2",
    "words",
    "posts",
    "users",
    "recent",
    "before",
    "times",
    "score",
    "url",
)
WEBHOOK_SECONDS = 20.0
_logger = logging.getLogger(__name__)

# Posts a JSON text under an id to the webhook; returns the status of the answer.
Post = Callable[[str, str], int]


class OwnRunner:
    """What the runners of such steps share: their jobs have ended when they are launched.

    `takes` are the parameters of such a step, `gives` the outputs besides the job's id and name.
    """

    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()

    def __init__(self, url: str) -> None:
        self._url = url

    def find(self, spec: JobSpec) -> JobStatus | None:
        """None: such a step is simply done again."""
        return None

    def launch(self, spec: JobSpec) -> JobStatus:
        """Do the step at once. Raises LaunchRefusedError and UnavailableError."""
        if not self._url:
            raise LaunchRefusedError("no warehouse: set DFPIPE_SINK")
        try:
            found = warehouse.connect(self._url)
            return JobStatus(
                job_id=spec.name, state=JobState.SUCCEEDED, outputs=self.work(spec, found)
            )
        except UsageError as error:
            raise LaunchRefusedError(str(error)) from error
        except DfpipeError as error:
            raise UnavailableError(f"the warehouse cannot be read: {error}") from error

    def work(self, spec: JobSpec, found: Warehouse) -> Mapping[str, object]:
        """Do the step; returns its outputs. Raises LaunchRefusedError."""
        raise NotImplementedError

    def state(self, name: str, job_id: str) -> JobStatus:
        """Never called: the job has ended when it is launched."""
        raise UnknownJobError(f"{name} is not kept")

    def cancel(self, name: str, job_id: str) -> None:
        """Do nothing: the job has ended when it is launched."""

    def log_link(self, spec: JobSpec, job_id: str) -> str:
        """Empty: the step writes to the launcher's own log."""
        return ""


class CheckRunner(OwnRunner):
    """Checks that the slot's run is complete and has a plausible number of posts.

    Its parameters: least_posts (1) and most_posts (none). Until a first run has had posts, there is
    nothing to compare with, and a run without posts passes.
    """

    takes = ("least_posts", "most_posts")
    gives = ("posts", "words")

    def work(self, spec: JobSpec, found: Warehouse) -> Mapping[str, object]:
        """Outputs: the numbers of posts and words of the run."""
        least, most = _number(spec, "least_posts", 1), _number(spec, "most_posts", None)
        unknown = set(spec.parameters).difference(self.takes)
        if unknown:
            raise LaunchRefusedError(
                f"unknown parameter {min(unknown)}: expected least_posts or most_posts"
            )
        rows = found.query("latest_runs").dicts()
        run = next((row for row in rows if row["ts"] == spec.slot), None)
        where = f"the run {rfc3339(spec.slot)}"
        if run is None:
            raise LaunchRefusedError(f"{where} is not complete: the table runs has no row for it")
        posts = run["tweets"]
        if not any(row["tweets"] for row in rows):
            _logger.info("no run has had posts yet", extra={"slot": rfc3339(spec.slot)})
            return {"posts": 0, "words": 0}
        if posts < (least or 0) or (most is not None and posts > most):
            expected = f"at least {least:,}" if most is None else f"{least:,} to {most:,}"
            raise LaunchRefusedError(f"{where} has {posts:,} posts: expected {expected}")
        return {"posts": posts, "words": run["words"]}


class NoteRunner(OwnRunner):
    """Notes the slot's rising stories: a line in the log, and a POST to the webhook.

    A story that has risen in an earlier run, or one like it, was noted then and is not again.
    """

    gives = ("number", "stories")

    def __init__(self, url: str, webhook: str = "", post: Post | None = None) -> None:
        super().__init__(url)
        self._post = post or (poster(webhook) if webhook else None)

    def work(self, spec: JobSpec, found: Warehouse) -> Mapping[str, object]:
        """Outputs: the number of stories, and the words of the first few."""
        rising = found.query("rising_stories", ts=spec.slot).dicts()
        rows = [row for row in rising if _is_new(found, row)]
        outputs = {"number": len(rows), "stories": [row["words"] for row in rows[:NOTED]]}
        _logger.info("rising stories", extra={"slot": rfc3339(spec.slot), **outputs})
        if self._post is not None and rows:
            stories = [{name: row[name] for name in WEBHOOK_FIELDS} for row in rows[:NOTED]]
            body = {"slot": rfc3339(spec.slot), "number": len(rows), "stories": stories}
            status = self._post(spec.name, json.dumps(body))
            if not 200 <= status < 300:
                raise UnavailableError(f"the webhook answered {status}")
        return outputs


def _is_new(found: Warehouse, story: Mapping[str, object]) -> bool:
    """Whether no story of an earlier run with the same leading edge or words was rising."""
    edge = {name: story[name] for name in ("w1", "w2", "ts")}
    earlier = found.query("story_history", **edge).dicts()
    return not any(row["score"] > 0 and row["p_value"] < LEVEL for row in earlier)


# The runners by the kinds of their steps.
OWN: Mapping[str, type[OwnRunner]] = {"check": CheckRunner, "note": NoteRunner}


def poster(url: str) -> Post:
    """Post to a URL; the id is the Idempotency-Key, as a post can be repeated."""
    import urllib3

    pool = urllib3.PoolManager(timeout=WEBHOOK_SECONDS, retries=False)

    def post(name: str, body: str) -> int:
        headers = {"Content-Type": "application/json", "Idempotency-Key": name}
        try:
            return pool.request("POST", url, body=body, headers=headers).status
        except urllib3.exceptions.HTTPError as error:
            # Its text can contain the URL, which is a secret.
            raise UnavailableError(f"the webhook: {type(error).__name__}") from error

    return post


def _number(spec: JobSpec, name: str, default: int | None) -> int | None:
    text = spec.parameters.get(name)
    if text is None:
        return default
    if not is_number(text):
        raise LaunchRefusedError(f"{name} is {text!r}: expected a whole number")
    return int(text)


def is_number(text: str) -> bool:
    """Whether a parameter's text is a whole number."""
    return text.isascii() and text.isdigit() and len(text) <= 15
