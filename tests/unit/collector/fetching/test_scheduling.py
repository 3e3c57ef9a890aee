"""The names of the collector's tasks, and the slots of its cron."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from collector.fetching.scheduling import SLOT, slot_of, task_name

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(TIMES)
def test_a_slot_is_17_minutes_long(time: datetime) -> None:
    assert timedelta(minutes=17) == SLOT
    assert slot_of(time + SLOT) == slot_of(time) + 1
    begin = datetime(1970, 1, 1, tzinfo=UTC) + slot_of(time) * SLOT
    assert begin <= time < begin + SLOT
    assert slot_of(begin) == slot_of(begin + SLOT - timedelta(microseconds=1)) == slot_of(time)


@given(st.text(max_size=100), st.integers(0, 10**9), st.integers(0, 1000))
def test_every_account_gives_a_name_that_a_task_may_have(
    account: str, slot: int, part: int
) -> None:
    name = task_name(account, slot, part)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,500}", name)


@given(st.lists(st.text(max_size=60), unique=True, max_size=20))
def test_no_two_accounts_have_one_name(accounts: list[str]) -> None:
    assert len({task_name(account, 1, 0) for account in accounts}) == len(accounts)


def test_accounts_that_look_alike_have_different_names() -> None:
    alike = ["mastodon:#cat", "mastodon:cat", "mastodon-cat", "x:" + "a" * 60, "x:" + "a" * 61]
    assert len({task_name(account, 1) for account in alike}) == len(alike)
