"""Values as they are stored, large ones in parts, classes by their paths, and settings of mails."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from google.api_core.exceptions import ResourceExhausted
from google.cloud.datastore import Key
from hypothesis import given
from hypothesis import strategies as st

from service.errors import UsageError
from tests.support.processes import free_port
from workflow import mail, registry, values
from workflow.engine import large

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(
    LEAVES.filter(lambda leaf: leaf not in (float("inf"), float("-inf"))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

# Values


@given(JSON)
def test_json_goes_and_comes(value: Any) -> None:
    assert values.loads(values.dumps(value)) == value


@given(st.datetimes(timezones=st.just(UTC)) | st.datetimes())
def test_times_come_back_in_utc(time: datetime) -> None:
    found = values.loads(values.dumps([time]))
    assert found == [time if time.tzinfo else time.replace(tzinfo=UTC)]


def test_a_time_of_another_zone() -> None:
    noon = datetime(2026, 1, 7, 12, 0, 0, 5, timezone(timedelta(hours=2)))
    assert values.loads(values.dumps(noon)) == datetime(2026, 1, 7, 10, 0, 0, 5, UTC)


def test_keys_come_back() -> None:
    parent = Key("Parent", 5, project="p", namespace="n")
    for key in [parent, Key("Child", "name", parent=parent)]:
        assert values.loads(values.dumps({"key": key})) == {"key": key}


def test_what_json_makes_of_values() -> None:
    assert values.loads(values.dumps((1, {2: "two"}))) == [1, {"2": "two"}]


@pytest.mark.parametrize(
    "value", [{1}, object(), b"x", float("nan"), float("inf"), 1j], ids=lambda v: type(v).__name__
)
def test_values_that_json_does_not_have(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="JSON"):
        values.dumps([value])


@pytest.mark.parametrize(
    "value",
    [
        {values.TAG: "datetime"},
        {values.TAG: "datetime", "value": "tomorrow"},
        {values.TAG: "datetime", "value": 5},
        {values.TAG: "key", "value": []},
        {values.TAG: "key", "value": [["p", None], []]},
        {values.TAG: ["key"]},
    ],
    ids=["no-value", "no-time", "number", "no-home", "no-path", "list"],
)
def test_dictionaries_that_look_like_tagged_ones(value: Any) -> None:
    assert values.loads(values.dumps([value])) == [value]


# Parts


def test_texts_are_stored_in_parts(client: Any) -> None:
    assert large.stored(client, "root", "x" * large.LARGEST_INLINE) == "x" * large.LARGEST_INLINE
    text = "ä" * 1_500_000
    name = large.stored(client, "root", text)
    assert name.endswith(":4")
    assert large.read(client, name) == text
    query = client.query(kind="WorkflowPart")
    query.keys_only()
    keys = [entity.key for entity in query.fetch()]
    client.delete_multi(keys[:1])
    with pytest.raises(LookupError, match="are gone: its workflow was cleaned up"):
        large.read(client, name)


class Narrow:
    """A client whose answers hold so many entities at most, as gRPC's hold so many bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    def get_multi(self, keys: Any) -> list[Any]:
        self.asked.append(len(keys))
        if len(keys) > self.most:
            raise ResourceExhausted("larger than max")
        return [f"entity {key}" for key in keys]


@pytest.mark.parametrize("most", [1, 3, 10, 100])
def test_lookups_are_made_smaller_where_need_be(most: int) -> None:
    client = Narrow(most)
    assert large.lookup(client, range(10)) == [f"entity {key}" for key in range(10)]
    assert (len(client.asked) == 1) == (most >= 10)


def test_a_lookup_that_cannot_be_made_smaller() -> None:
    client = Narrow(0)
    with pytest.raises(ResourceExhausted):
        large.lookup(client, range(8))
    assert client.asked == [8, 4, 2, 1]


# Classes


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Alone", "Alone cannot be imported: it has no module"),
        ("no_such_module.Class", "No module named 'no_such_module'"),
        ("workflow.common.Nothing", "workflow.common has no stage Nothing"),
        ("workflow.no_such.Class", "workflow has no stage no_such.Class"),
        ("os.path.join", "has no stage"),
        ("", "cannot be imported"),
    ],
)
def test_classes_that_are_not_there(path: str, message: str) -> None:
    with pytest.raises(registry.MissingClassError, match=message):
        registry.find(path)


def test_a_module_that_cannot_be_imported(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "a_broken_module.py").write_text("1 / 0")
    with pytest.raises(registry.MissingClassError, match=r"a_broken_module\.A .*division by zero"):
        registry.find("a_broken_module.A")
    (tmp_path / "a_poor_module.py").write_text("import a_module_that_is_missing")
    with pytest.raises(registry.MissingClassError, match="'a_module_that_is_missing'"):
        registry.find("a_poor_module.A")


# Mails

WHOLE = {
    "DFPIPE_MAIL_URL": "smtp://localhost:25",
    "DFPIPE_MAIL_SENDER": "us@example.com",
    "DFPIPE_MAIL_TO": "you@example.com",
}


def test_settings_of_mails() -> None:
    assert mail.settings_from({}) is None
    found = mail.settings_from({**WHOLE, "GOOGLE_CLOUD_PROJECT": "my-app"})
    assert found is not None
    assert found.send == mail.SmtpServer("smtp://localhost:25", "you@example.com")
    assert (found.sender, found.app_id) == ("us@example.com", "my-app")
    assert found.base_url == "http://localhost"


@pytest.mark.parametrize("name", ["DFPIPE_MAIL_SENDER", "DFPIPE_MAIL_TO"])
def test_settings_of_mails_that_are_missing(name: str) -> None:
    given = {key: value for key, value in WHOLE.items() if key != name}
    with pytest.raises(UsageError, match="needs DFPIPE_MAIL_SENDER and DFPIPE_MAIL_TO"):
        mail.settings_from(given)


def test_settings_of_mails_that_are_wrong() -> None:
    for url in ("http://localhost", "localhost:25", "smtp://localhost:mail"):
        with pytest.raises(UsageError, match="^DFPIPE_MAIL_URL is .* expected smtp://HOST:PORT"):
            mail.settings_from({**WHOLE, "DFPIPE_MAIL_URL": url})


def test_a_password_of_mail_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("smtps://us:secret@localhost\n")
    given = {name: value for name, value in WHOLE.items() if name != "DFPIPE_MAIL_URL"}
    found = mail.settings_from({**given, "DFPIPE_MAIL_URL_FILE": str(file)})
    assert found is not None
    assert found.send == mail.SmtpServer("smtps://us:secret@localhost", "you@example.com")
    assert "secret" not in repr(found)
    with pytest.raises(UsageError, match="a value that is not shown: expected smtp://"):
        mail.settings_from({**WHOLE, "DFPIPE_MAIL_URL": "http://us:secret@localhost"})


class Letters:
    """Keeps the mails that a server takes."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], Any]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.taken.append((envelope.rcpt_tos, message))
        return "250 OK"


@pytest.fixture
def letters() -> Iterator[tuple[Letters, str]]:
    letters = Letters()
    port = free_port()
    server = Controller(letters, hostname="127.0.0.1", port=port, ready_timeout=60)
    server.start()
    yield letters, f"smtp://127.0.0.1:{port}"
    server.stop()


def test_mails_go_through_a_server(letters: tuple[Letters, str]) -> None:
    kept, url = letters
    send = mail.SmtpServer(url, "usual@example.com")
    send("us@example.com", "ä subject", "text", "<p>page</p>")
    send("us@example.com", "again", "text", "", to="other@example.com")
    (first, whole), (second, plain) = kept.taken
    assert (first, second) == (["usual@example.com"], ["other@example.com"])
    assert (whole["Subject"], whole["From"]) == ("ä subject", "us@example.com")
    assert whole.get_body(("plain",)).get_content().strip() == "text"
    assert whole.get_body(("html",)).get_content().strip() == "<p>page</p>"
    assert not plain.is_multipart()
