"""Settings from environment variables."""

import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

import pytest
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from service.environment import EnvironmentSettings, read_environment
from service.errors import UsageError
from service.fields import Duration, Places, WebUrl, Words


class Sample(EnvironmentSettings):
    model_config = SettingsConfigDict(env_prefix="SAMPLE_")
    store: str = Field("", validation_alias="DFPIPE_STORE")
    slot: Duration = timedelta(hours=5)
    overlap: Literal["wait", "skip"] = "wait"
    most: int = Field(10, ge=1)
    url: WebUrl = ""
    modules: Words = ()
    places: Places = Field(default={})
    token: str = Field("", repr=False, min_length=4)

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if self.overlap == "skip" and self.most == 1:
            raise ValueError("SAMPLE_OVERLAP is 'skip' and SAMPLE_MOST is 1: give one of them")
        return self


def test_variables_with_and_without_the_prefix() -> None:
    given = {
        "DFPIPE_STORE": "sqlite:///a.db",
        "SAMPLE_SLOT": "1h30m",
        "SAMPLE_MOST": " 3 ",
        "SAMPLE_URL": "https://host/x/",
        "SAMPLE_MODULES": "a, b c",
        "SAMPLE_PLACES": "Home page=/, B = https://host/b?c=d",
    }
    found = read_environment(Sample, given)
    assert found == Sample(
        store="sqlite:///a.db",
        slot=timedelta(minutes=90),
        most=3,
        url="https://host/x",
        modules=("a", "b", "c"),
        places={"Home page": "/", "B": "https://host/b?c=d"},
    )


def test_an_empty_variable_counts_as_unset() -> None:
    assert read_environment(Sample, {"SAMPLE_MOST": " ", "SAMPLE_URL": ""}) == Sample()


def test_only_what_is_passed_in_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE_MOST", "7")
    assert (Sample().most, read_environment(Sample, {}).most) == (10, 10)
    assert read_environment(Sample, os.environ).most == 7


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SAMPLE_SLOT", "5", "SAMPLE_SLOT is '5': expected a number and s, m, h, d or w"),
        ("SAMPLE_OVERLAP", "x", "SAMPLE_OVERLAP is 'x': expected 'wait' or 'skip'"),
        ("SAMPLE_MOST", "0", "SAMPLE_MOST is '0': expected a number of at least 1"),
        ("SAMPLE_MOST", "many", "SAMPLE_MOST is 'many': expected a whole number"),
        ("SAMPLE_URL", "ftp://a", "SAMPLE_URL is 'ftp://a': expected a URL of the form https://"),
        ("SAMPLE_PLACES", "Jobs", "SAMPLE_PLACES is 'Jobs': expected NAME=ADDRESS"),
        ("SAMPLE_PLACES", "A=/,B=javascript:", "SAMPLE_PLACES is 'javascript:': expected a URL"),
        (
            "SAMPLE_TOKEN",
            "key",
            "SAMPLE_TOKEN is a value that is not shown: expected at",
        ),
    ],
)
def test_an_error_names_the_variable_its_value_and_what_is_allowed(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        read_environment(Sample, {name: value})
    assert str(refused.value).startswith(message)


def test_an_error_of_two_variables_names_both() -> None:
    with pytest.raises(UsageError, match="^SAMPLE_OVERLAP is 'skip' and SAMPLE_MOST is 1"):
        read_environment(Sample, {"SAMPLE_OVERLAP": "skip", "SAMPLE_MOST": "1"})


def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-secret\n")
    found = read_environment(Sample, {"SAMPLE_TOKEN_FILE": str(file)})
    assert found.token == "a-secret"
    assert "a-secret" not in repr(found)


def test_files_of_secrets_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SAMPLE_TOKEN and SAMPLE_TOKEN_FILE are both set"):
        read_environment(Sample, {"SAMPLE_TOKEN": "abcd", "SAMPLE_TOKEN_FILE": "x"})
    with pytest.raises(UsageError, match="SAMPLE_TOKEN_FILE is '.*none', which cannot be read: No"):
        read_environment(Sample, {"SAMPLE_TOKEN_FILE": str(tmp_path / "none")})
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="which cannot be read: it is not UTF-8 text"):
        read_environment(Sample, {"SAMPLE_TOKEN_FILE": str(tmp_path / "binary")})


def test_an_old_name_works_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    renamed = {"SAMPLE_MAXIMUM": "SAMPLE_MOST"}
    with caplog.at_level(logging.WARNING):
        assert read_environment(Sample, {"SAMPLE_MAXIMUM": "3"}, renamed).most == 3
    assert caplog.messages == ["SAMPLE_MAXIMUM is an old name: set SAMPLE_MOST instead"]
    with pytest.raises(UsageError, match="SAMPLE_MAXIMUM and SAMPLE_MOST are both set"):
        read_environment(Sample, {"SAMPLE_MAXIMUM": "3", "SAMPLE_MOST": "3"}, renamed)


def test_the_help_of_dfpipe_does_not_import_pydantic() -> None:
    code = (
        "import sys, dfpipe.cli\n"
        "try: dfpipe.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
