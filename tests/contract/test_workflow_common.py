"""The common stages, with tasks on both stores and in test mode."""

import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import workflow
from tests.support.workflow_running import Queues
from workflow import common, registry
from workflow.engine.engine import Engine
from workflow.mail import Mail

NAMES = (
    "Return Ignore Dict List AbortIfTrue All Any Complement Max Min Sum Multiply Negate Extend "
    "Append Concat Union Intersection Uniquify Format Log Delay EmailToContinue"
).split()


def result(flow: Any, stage: workflow.Pipeline) -> Any:
    return flow.run(stage).outputs.default.value


def test_all_of_them_are_there() -> None:
    assert len(NAMES) == 23
    paths = [f"workflow.common.{name}" for name in NAMES]
    assert all(registry.find(path) is getattr(common, path[16:]) for path in paths)


CASES: list[tuple[str, Any, Any]] = [
    ("return", lambda: common.Return({"a": [1]}), {"a": [1]}),
    ("return-nothing", lambda: common.Return(), None),
    ("ignore", lambda: common.Ignore(1, 2), None),
    ("dict", lambda: common.Dict(a=1, b="two", self_=3), {"a": 1, "b": "two", "self_": 3}),
    ("dict-empty", lambda: common.Dict(), {}),
    ("list", lambda: common.List(3, [1], "two"), [3, [1], "two"]),
    ("list-empty", lambda: common.List(), []),
    ("abort-if-true", lambda: common.AbortIfTrue(0, "never"), None),
    ("all", lambda: common.All(1, "a", [0]), True),
    ("all-not", lambda: common.All(1, "", 2), False),
    ("all-empty", lambda: common.All(), False),
    ("any", lambda: common.Any(0, "a"), True),
    ("any-not", lambda: common.Any(0, None), False),
    ("any-empty", lambda: common.Any(), False),
    ("complement", lambda: common.Complement(0), True),
    ("complement-many", lambda: common.Complement(0, 1, ""), [True, False, True]),
    ("max", lambda: common.Max(1, 3, 2), 3),
    ("min", lambda: common.Min(3, 1, 2), 1),
    ("sum", lambda: common.Sum(1, 2, 4), 7),
    ("sum-one", lambda: common.Sum(5), 5),
    ("multiply", lambda: common.Multiply(2, 3, 7), 42),
    ("negate", lambda: common.Negate(5), -5),
    ("negate-many", lambda: common.Negate(5, -2), [-5, 2]),
    ("extend", lambda: common.Extend([1, 2], [], [2, 3]), [1, 2, 2, 3]),
    ("extend-empty", lambda: common.Extend(), []),
    ("append", lambda: common.Append([1], 2, "three"), [[1], 2, "three"]),
    ("concat", lambda: common.Concat("a", "b", "c"), "abc"),
    ("concat-separator", lambda: common.Concat("a", "b", separator=", "), "a, b"),
    ("concat-empty", lambda: common.Concat(), ""),
    ("format-dict", lambda: common.Format.dict("%(a)s and %(b)d", a="x", b=2), "x and 2"),
    ("format-dict-any-name", lambda: common.Format.dict("%(message)s", message="m"), "m"),
    ("format-tuple", lambda: common.Format.tuple("%s and %d", "x", 2), "x and 2"),
]
SETS: list[tuple[str, Any, set[Any]]] = [
    ("union", lambda: common.Union([1, 2, 3], [], [3, 4, 1]), {1, 2, 3, 4}),
    ("union-empty", lambda: common.Union(), set()),
    ("intersection", lambda: common.Intersection([1, 2, 3, 3], [3, 4, 1]), {1, 3}),
    ("intersection-none", lambda: common.Intersection([1, 2], [], [1]), set()),
    ("intersection-empty", lambda: common.Intersection(), set()),
    ("uniquify", lambda: common.Uniquify(1, 2, 3, 3, 2, 1), {1, 2, 3}),
]


@pytest.mark.parametrize(("make", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_result(flow: Any, make: Any, expected: Any) -> None:
    assert result(flow, make()) == expected


@pytest.mark.parametrize(("make", "expected"), [c[1:] for c in SETS], ids=[c[0] for c in SETS])
def test_result_without_order(flow: Any, make: Any, expected: set[Any]) -> None:
    found = result(flow, make())
    assert len(found) == len(expected)
    assert set(found) == expected


@pytest.mark.parametrize("name", ["Max", "Min", "Sum", "Multiply", "Negate"])
def test_numbers_need_an_argument(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name} takes at least one argument"):
        getattr(common, name)()


def test_abort_if_true(flow: Any) -> None:
    flow.abort(common.AbortIfTrue(1, "it is true"), "it is true")


def test_a_format_of_no_kind(flow: Any) -> None:
    flow.abort(common.Format("list", "%s", 1), "use Format.dict or Format.tuple")


class Futures(workflow.Pipeline):
    """Futures as arguments, also of the stages that look at their arguments early."""

    def run(self, number: int) -> Iterator[Any]:
        three = yield common.Return(number)
        delayed = yield common.Delay(seconds=three)
        total = yield common.Sum(three, delayed)
        text = yield common.Format.dict("%(total)d", total=total)
        yield common.List(text, total)


def test_futures_as_arguments(flow: Any) -> None:
    assert result(flow, Futures(3)) == ["6", 6]


# Log


@pytest.mark.parametrize("name", ["debug", "info", "warning", "error", "critical"])
def test_log(
    queues: Queues, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    assert result(queues, getattr(common.Log, name)("%s is %d", "it", 5)) is None
    level = getattr(logging, name.upper())
    assert ("root", level, "it is 5") in caplog.record_tuples
    said: list[Any] = []
    monkeypatch.setattr(common.Log, "_log_method", lambda *given: said.append(given))
    queues.run(getattr(common.Log, name)("%s", "again"))
    assert said == [(level, "%s", "again")]


def test_log_at_a_level(flow: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(17)
    assert result(flow, common.Log.log(17, "100%")) is None
    assert ("root", 17, "100%") in caplog.record_tuples


# Delay


def test_delay(flow: Any) -> None:
    start = None if flow.is_test else flow.clock.time
    assert result(flow, common.Delay(seconds=90.5)) == 90.5
    if not flow.is_test:
        assert (flow.clock.time - start).total_seconds() >= 90.5


def test_delay_whose_id_is_no_name_of_a_task(queues: Queues) -> None:
    stage = queues.run(common.Delay(seconds=1), idempotence_key="ä b/c")
    assert stage.outputs.default.value == 1


def test_delay_that_is_run_twice_adds_one_task(queues: Queues) -> None:
    stage = common.Delay(seconds=60)
    stage.start()
    queues.runner.step()
    queues.now(stage).run(60)
    (task,) = queues.engine.service.store.tasks("default", 10)
    assert task.name == f"ae-pipeline-delay-{stage.pipeline_id}"
    queues.drain()
    queues.check_done(stage)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((5,), {}), ((), {}), ((), {"seconds": 1, "minutes": 2}), ((), {"minutes": 2})],
    ids=["place", "nothing", "more", "other"],
)
def test_delay_takes_seconds_alone(args: Any, kwargs: Any) -> None:
    with pytest.raises(TypeError, match=r"exactly one keyword argument: Delay\(seconds=30\)"):
        common.Delay(*args, **kwargs)


# EmailToContinue


class Asks(common.EmailToContinue):
    """Its mails are kept here."""

    mails: list[tuple[Any, ...]] = []

    @staticmethod
    def _send_mail(*given: Any, **kwargs: Any) -> None:
        Asks.mails.append((*given, kwargs))


TEXTS: dict[str, Any] = {
    "subject": "Go on?",
    "body": "yes: %(approve_url)s no: %(disapprove_url)s 100%%",
    "html": '<a href="%(approve_url)s">yes</a> <a href="%(disapprove_url)s">no</a>',
    "to": "person@example.com",
    "approve_html": "<b>so be it</b>",
}


@pytest.fixture(autouse=True)
def mails() -> Any:
    Asks.mails.clear()
    return Asks.mails


def links(mails: list[tuple[Any, ...]]) -> list[dict[str, str]]:
    """What the two links of the first mail give to the callback."""
    urls = [word for word in mails[0][2].split() if word.startswith("http")]
    found = [dict(parse_qsl(urlsplit(url).query)) for url in urls]
    assert [urlsplit(url).path for url in urls] == ["/_ah/pipeline/callback"] * 2
    return [{name: word for name, word in q.items() if name != "pipeline_id"} for q in found]


def ask(queues: Queues, mail: Mail | None = None) -> Asks:
    queues.engine.mail = mail
    stage = Asks(**TEXTS)
    stage.start()
    queues.drain()
    return stage


@pytest.mark.parametrize("answer", [True, False], ids=["yes", "no"])
def test_a_person_answers(queues: Queues, mails: Any, answer: bool) -> None:
    stage = ask(queues, Mail(base_url="https://site.example/", sender="us@example.com"))
    sender, subject, body, html, words = mails[0]
    assert (sender, subject, words) == ("us@example.com", "Go on?", {"to": "person@example.com"})
    assert "https://site.example/_ah/pipeline/callback?" in body
    assert body.endswith(" 100%")
    assert html.count("&amp;") == 4
    assert queues.about(stage)["status"] == "run"
    yes, no = links(mails)
    page = "<b>so be it</b>" if answer else "<p>It is not approved.</p>"
    assert queues.now(stage).callback(**(yes if answer else no)) == (200, "text/html", page)
    # The first answer counts, and whoever answers again is told what it was.
    assert queues.now(stage).callback(**(no if answer else yes))[2] == page
    queues.drain()
    queues.check_done(stage)
    assert queues.now(stage).outputs.default.value is answer


def test_who_does_not_have_the_mail_cannot_answer(queues: Queues, mails: Any) -> None:
    stage = ask(queues)
    yes, _ = links(mails)
    now = queues.now(stage)
    for token in ["", "wrong", "ä", yes["token"][:-1]]:
        assert now.callback(token=token, choice="approve")[0] == 403
    assert now.callback(choice="approve")[0] == 403
    assert now.callback(token=yes["token"], choice="perhaps")[0] == 400
    assert not queues.now(stage).outputs.default.filled
    assert now.callback(**yes, utm_source="mail")[0] == 200


def test_the_token_is_a_secret(queues: Queues, mails: Any) -> None:
    stage = ask(queues)
    other = ask(queues)
    tokens = {each.kwargs["secret_token"] for each in (stage, other)}
    assert len(tokens) == 2
    assert all(len(token) >= 40 for token in tokens)
    shown = repr(queues.tree(stage)) + repr(stage)
    assert not any(token in shown for token in tokens)
    assert "Go on?" in shown


def test_all_that_a_mail_of_the_original_takes(queues: Queues, mails: Any) -> None:
    others = {"cc": "c@example.com", "bcc": "b@example.com", "reply_to": "r@example.com"}
    stage = Asks(**TEXTS, **others, random_token="a-token-of-the-caller")
    stage.start()
    queues.drain()
    assert mails[0][-1] == {"to": "person@example.com", **others}
    answer = queues.now(stage).callback(random_token="a-token-of-the-caller", choice="approve")
    assert answer[0] == 200
    queues.drain()
    assert queues.now(stage).outputs.default.value is True


def test_what_no_mail_takes() -> None:
    with pytest.raises(TypeError, match="does not take attachments"):
        Asks(**TEXTS, attachments=[])


def test_an_answer_after_an_abort(queues: Queues, mails: Any) -> None:
    class Root(workflow.Pipeline):
        def run(self) -> Iterator[Any]:
            yield CanBeCancelled(**TEXTS)

    root = Root()
    root.start()
    queues.drain()
    root.abort("enough")
    queues.drain()
    (asked,) = (name for name in queues.tree(root)["pipelines"] if name != root.pipeline_id)
    yes, _ = links(mails)
    assert workflow.Pipeline.from_id(asked).callback(**yes)[0] == 410


class CanBeCancelled(Asks):
    def try_cancel(self) -> bool:
        return True


def test_in_test_mode_it_is_approved(mails: Any) -> None:
    stage = Asks(**TEXTS)
    stage.start_test()
    assert stage.outputs.default.value is True
    assert mails[0][1] == "Go on?"
    plain = common.EmailToContinue(**TEXTS)
    plain.start_test()
    assert plain.outputs.default.value is True
    assert len(mails) == 1


def test_where_no_mail_can_be_sent(queues: Queues) -> None:
    queues.abort(common.EmailToContinue(**TEXTS), "no mail can be sent: set DFPIPE_MAIL_URL")


def test_a_mail_needs_a_text() -> None:
    with pytest.raises(TypeError, match="takes body or html"):
        common.EmailToContinue(subject="Go on?")


def test_mails_go_through_the_engine(queues: Queues) -> None:
    sent: list[Any] = []
    mail = Mail(send=lambda *given, **words: sent.append((given, words)), sender="us@example.com")
    workflow.bind(Engine(queues.engine.service, mail))
    queues.runner.engine.mail = mail
    stage = common.EmailToContinue(body="%(approve_url)s")
    stage.start()
    queues.drain()
    ((given, words),) = sent
    assert given[0] == "us@example.com"
    assert words == {}
