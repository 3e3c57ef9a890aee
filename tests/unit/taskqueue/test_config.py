"""Reading queue.yaml, and what is said of a wrong one."""

from pathlib import Path

import pytest

from taskqueue import ConfigError, TaskRetryOptions, parse_config, read_config
from taskqueue.config import QueueDefinition

FULL = """
application: myapp
total_storage_limit: 1.5K
resume_paused_queues: False
queue:
- name: fast
  rate: 10/m
  mode: push
  bucket_size: 40
  max_concurrent_requests: 10
  target: v1.service
  retry_parameters:
    task_retry_limit: 7
    task_age_limit: 2d
    min_backoff_seconds: 10
    max_backoff_seconds: 200.5
    max_doublings: 0
- name: leased
  mode: pull
  acl:
  - user_email: a@example.com
  - writer_email: b@example.com
  - user_email: c@example.com
    writer_email: c@example.com
  retry_parameters:
    task_retry_limit: 1
"""


def test_every_field() -> None:
    config = parse_config(FULL)
    assert config.total_storage_limit == 1536
    assert config.resume_paused_queues is False
    assert list(config.queues) == ["default", "fast", "leased"]
    assert config.queues["fast"] == QueueDefinition(
        name="fast",
        rate=10 / 60,
        bucket_size=40,
        max_concurrent_requests=10,
        target="v1.service",
        retry=TaskRetryOptions(
            task_retry_limit=7,
            task_age_limit=172800,
            min_backoff_seconds=10,
            max_backoff_seconds=200.5,
            max_doublings=0,
        ),
    )
    assert config.queues["leased"] == QueueDefinition(
        name="leased",
        mode="pull",
        retry=TaskRetryOptions(task_retry_limit=1),
        users=("a@example.com", "c@example.com"),
        writers=("b@example.com", "c@example.com"),
    )


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "queue: []", "queue:", "resume_paused_queues: true"]
)
def test_there_is_always_a_default_queue(text: str) -> None:
    config = parse_config(text)
    assert config.queues == {"default": QueueDefinition(name="default", rate=5, bucket_size=5)}
    assert config.resume_paused_queues


def test_empty_fields_are_taken_as_app_engine_takes_them() -> None:
    empty = "\n  acl:\n  retry_parameters:\n  max_concurrent_requests: 0\n  dead_letters: false"
    queue = parse_config(f"queue:\n- name: q\n  rate: 1/s{empty}").queues["q"]
    assert queue == QueueDefinition(
        name="q", rate=1, max_concurrent_requests=5000, dead_letters=False
    )


def test_the_default_queue_may_be_defined() -> None:
    assert parse_config("queue:\n- {name: default, rate: 1/s}").queues["default"].rate == 1


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("0", 0),
        ("5/s", 5),
        (".5/s", 0.5),
        ("500/s", 500),
        ("90/m", 1.5),
        ("36/h", 0.01),
        ("864/d", 0.01),
    ],
)
def test_rates(text: str, rate: float) -> None:
    queue = parse_config(f"queue:\n- name: q\n  rate: {text}").queues["q"]
    assert queue.rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("text", "size"),
    [("7", 7), ("2B", 2), ("1K", 1024), ("2M", 2**21), ("1G", 2**30), ("1T", 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_config(f"total_storage_limit: {text}").total_storage_limit == size


def test_one_bound_of_the_backoff_takes_the_other_along() -> None:
    def retry(line: str) -> TaskRetryOptions | None:
        text = f"queue:\n- name: q\n  rate: 1/s\n  retry_parameters:\n    {line}"
        return parse_config(text).queues["q"].retry

    assert retry("min_backoff_seconds: 7200") == TaskRetryOptions(
        min_backoff_seconds=7200, max_backoff_seconds=7200
    )
    assert retry("max_backoff_seconds: 0.05") == TaskRetryOptions(
        min_backoff_seconds=0.05, max_backoff_seconds=0.05
    )
    assert retry("max_backoff_seconds: 5") == TaskRetryOptions(max_backoff_seconds=5)


def in_queue(line: str, mode: str = "") -> str:
    return f"queue:\n- name: q\n  {mode or 'rate: 1/s'}\n  {line}\n"


def in_retry(line: str, mode: str = "") -> str:
    return in_queue(f"retry_parameters:\n    {line}", mode)


PULL = "mode: pull"

WRONG = [
    ("- a", ":1: the file: .*expected a mapping"),
    ("queues: []", ":1: queues: unknown field; expected application, total_stor"),
    ("queue: 5", ":1: queue: '5': expected a list"),
    ("queue:\n- 5", r":2: queue\[0\]: '5': expected a mapping"),
    ("queue:\n\n- rate: 1/s", r":3: queue\[0\].name: missing; it is required"),
    ("queue:\n- name: a_b\n  rate: 1/s", ":2: .*name: 'a_b': expected 1 to 100 letters, digits"),
    ("queue:\n- name: q", ":2: .* a push queue needs a rate; add `rate: 5/s`, or `mode: pull`"),
    ("queue:\n- name: [a]\n  rate: 1/s", ":2: .*name: .*expected a text"),
    (in_queue("") * 2, ":5: queue: duplicate key; keep one of them"),
    ("queue:\n- &q\n  name: q\n  rate: 1/s\n- *q", r":2: queue\[1\]: queue 'q' is defined twice"),
    (
        in_queue("", "rate: 1/s") + "- {name: q, mode: pull}",
        r":5: queue\[1\]: queue 'q' is defined",
    ),
    (in_queue("rates: 1"), r":4: queue\[0\].rates: unknown field; expected name, mode, rate"),
    (in_queue("", "mode: poll"), ":3: .*mode: 'poll': expected 'push' or 'pull'"),
    (in_queue("", "rate: 5"), ":3: .*rate: '5': expected 0, or a number and /s, /m, /h or /d, at"),
    (in_queue("", "rate: 501/s"), ":3: .*rate: '501/s': expected .* at most 500/s"),
    (in_queue("", "rate: -1/s"), ":3: .*rate: '-1/s'"),
    (in_queue("", "rate: \u0663/s"), ":3: .*rate: '\u0663/s'"),
    (in_queue("bucket_size: 0"), ":4: .*bucket_size: '0': expected a number of at least 1"),
    (in_queue("bucket_size: 501"), ":4: .*bucket_size: '501': expected a number of at most 500"),
    (in_queue("bucket_size: x"), ":4: .*bucket_size: 'x': expected a whole number"),
    (
        in_queue("max_concurrent_requests: 5001"),
        ":4: .*: '5001': expected a number of at most 5",
    ),
    (in_queue("target: a b"), ":4: .*target: 'a b': expected a name of letters"),
    (in_queue("dead_letters: x"), ":4: .*dead_letters: 'x': expected true or false"),
    (in_queue("rate: 1/s", PULL), r":4: queue\[0\].rate: only push queues have this field"),
    (in_queue("bucket_size: 1", PULL), ":4: .*bucket_size: only push queues"),
    (in_queue("target: v", PULL), ":4: .*target: only push queues"),
    (in_queue("max_concurrent_requests: 1", PULL), ":4: .*max_concurrent_requests: only push"),
    (
        in_queue("acl:\n  - email: a@b"),
        r":5: queue\[0\].acl\[0\].email: unknown field; expec",
    ),
    (in_queue("acl:\n  - user_email: ab"), ":5: .*user_email: 'ab': expected an email address"),
    (in_queue("acl: a@b"), ":4: .*acl: 'a@b': expected a list"),
    (in_retry("max_doublings: 1", PULL), ":4: .*retry_parameters: pull queues have task_retry_lim"),
    (in_retry("max_doublings: -1"), ":5: .*max_doublings: '-1': expected a number of at least 0"),
    (in_retry("task_retry_limit: 1.5"), ":5: .*task_retry_limit: '1.5': expected a whole number"),
    (in_retry("task_age_limit: 5"), ":5: .*task_age_limit: '5': expected a number and s, m, h"),
    (in_retry("task_age_limit: 0s"), ":5: .*task_age_limit: '0s': expected more than 0s"),
    (in_retry("min_backoff_seconds: x"), ":5: .*min_backoff_seconds: 'x': expected a number"),
    (
        in_retry("{min_backoff_seconds: 2, max_backoff_seconds: 1}"),
        ":5: .*max_backoff_seconds is 1",
    ),
    ("total_storage_limit: 1X", ":1: total_storage_limit: '1X': expected a number and one of B"),
    ("resume_paused_queues: maybe", ":1: resume_paused_queues: 'maybe': expected true or false"),
    ("queue: [", ":1: not YAML: "),
    ("queue: @", ":1: not YAML: "),
    ("a: \x07", ": not YAML: "),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^my.yaml{message}") as caught:
        parse_config(text, "my.yaml")
    assert "\n" not in str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "queue.yaml"
    file.write_text(FULL)
    assert read_config(file) == parse_config(FULL, str(file))
    with pytest.raises(ConfigError, match="cannot read .*none.yaml: No such file"):
        read_config(tmp_path / "none.yaml")
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        read_config(file)


def test_the_projects_own_file() -> None:
    queues = read_config(Path(__file__).parents[3] / "queue.yaml").queues
    assert not queues["default"].is_pull
    assert queues["ingest"].is_pull
