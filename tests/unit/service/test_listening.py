"""How services listen, and the login link that they print for the person at the terminal."""

import sys

import click
import pytest
from click.testing import CliRunner

from service.auth import AuthSettings
from service.listening import KEEP_ALIVE, Listening, listening_options, with_login

TOKEN = AuthSettings(token="a-token-of-the-tests")


def listening(host: str = "127.0.0.1") -> Listening:
    return Listening(host=host, port=8080, workers=1, threads=1, log_level="INFO")


@pytest.mark.parametrize(("argv", "seconds"), [([], KEEP_ALIVE), (["--keep-alive-secs=620"], 620)])
def test_the_option_of_idle_connections(argv: list[str], seconds: int) -> None:
    given: list[Listening] = []

    @click.command
    @listening_options()
    def serve(listening: Listening) -> None:
        given.append(listening)

    assert CliRunner().invoke(serve, argv).exit_code == 0
    assert given[0].keep_alive_secs == seconds


def test_the_link_is_for_the_person_at_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    sys.stdout.isatty = lambda: True  # type: ignore[method-assign]  # capsys has put its own there
    assert with_login(TOKEN, listening()) == TOKEN
    link = capsys.readouterr().out
    assert link.startswith("Log in once at http://127.0.0.1:8080/pages/login?key=")
    assert str(TOKEN.token) not in link
    made = with_login(AuthSettings(), listening("::1"), "/flow")
    assert len(made.token or "") > 30
    assert "http://[::1]:8080/flow/login?key=" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("auth", "host"),
    [
        (TOKEN, "0.0.0.0"),
        (AuthSettings(page_access="loopback"), "127.0.0.1"),
        (AuthSettings(iap_audience="a"), "127.0.0.1"),
    ],
    ids=["other machines", "no login", "proxy"],
)
def test_where_there_is_no_link(
    auth: AuthSettings, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.stdout.isatty = lambda: True  # type: ignore[method-assign]
    assert with_login(auth, listening(host)) == auth
    assert capsys.readouterr().out == ""


def test_logs_have_no_link(capsys: pytest.CaptureFixture[str]) -> None:
    assert with_login(AuthSettings(), listening()) == AuthSettings()
    assert capsys.readouterr().out == ""
