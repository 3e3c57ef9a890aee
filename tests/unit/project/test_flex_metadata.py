"""metadata.json says of the Flex Template's parameters what the options of a run are."""

import argparse
import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml
from apache_beam.options.pipeline_options import PipelineOptions
from google.cloud.dataflow_v1beta3 import TemplateMetadata
from hypothesis import example, given
from hypothesis import strategies as st

from dfpipe import datastore, warehouse
from dfpipe.analysis.stopwords import LANGUAGES
from dfpipe.analysis.text import MODES
from dfpipe.errors import UsageError
from dfpipe.options import AnalysisOptions, settings
from tests.support.processes import ROOT

TEXT = (ROOT / "metadata.json").read_text(encoding="utf-8")
PARAMETERS = {each["name"]: each for each in json.loads(TEXT)["parameters"]}
NOW = datetime(2015, 1, 11, tzinfo=UTC)
ENDS = {"source": "datastore://project", "sink": "bigquery://project/dataset"}
COUNT = re.compile(r"\^\[1-9\]\[0-9\]\{[0-9],8\}\$")
COUNTS = [name for name, each in PARAMETERS.items() if COUNT.fullmatch(each["regexes"][0])]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(add_help=False)
    AnalysisOptions._add_argparse_args(made)
    return made


OPTIONS = {action.dest: action for action in parser()._actions}


def options_with(name: str, value: str | None) -> AnalysisOptions:
    options = PipelineOptions([]).view_as(AnalysisOptions)
    for each, text in (ENDS | {name: value}).items():
        setattr(options, each, text)
    return options


def refusal(name: str, value: str) -> str:
    """What is said to a run with this option; empty where it is accepted."""
    options = options_with(name, value)
    try:
        settings(options, NOW)
    except UsageError as error:
        return str(error)
    return ""


def matches(name: str, value: str) -> bool:
    [pattern] = PARAMETERS[name]["regexes"]
    return re.fullmatch(pattern, value) is not None


def test_google_reads_the_file() -> None:
    read = TemplateMetadata.from_json(TEXT)
    assert [each.name for each in read.parameters] == list(PARAMETERS)
    with pytest.raises(Exception, match="isRequired"):
        TemplateMetadata.from_json(TEXT.replace("isOptional", "isRequired"))


def test_the_parameters_are_the_options() -> None:
    assert list(PARAMETERS) == list(OPTIONS)
    assert all(each["paramType"] == "TEXT" and each["label"] for each in PARAMETERS.values())


@pytest.mark.parametrize("name", OPTIONS)
def test_the_help_is_that_of_the_option(name: str) -> None:
    # Workers reach no file of this machine, and the template has no environment of its own.
    expected = re.sub(r"\w+:///FILE or | \(default: \$\w+\)", "", OPTIONS[name].help or "")
    assert PARAMETERS[name]["helpText"] == expected


@pytest.mark.parametrize("name", OPTIONS)
def test_a_default_is_in_the_help_of_what_may_be_left_out(name: str) -> None:
    default = OPTIONS[name].default
    if default is not None:
        assert f"(default: {default})" in PARAMETERS[name]["helpText"]
    options = options_with(name, default)
    if PARAMETERS[name]["isOptional"]:
        settings(options, NOW)
    else:
        option = OPTIONS[name].option_strings[0]
        with pytest.raises(UsageError, match=f"{option} is required"):
            settings(options, NOW)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_patterns_mean_the_same_to_every_engine(name: str) -> None:
    [pattern] = PARAMETERS[name]["regexes"]
    assert (pattern[0], pattern[-1]) == ("^", "$")
    assert not {"\\", "(?"} & {pattern[i : i + n] for i in range(len(pattern)) for n in (1, 2)}


@pytest.mark.parametrize("name", COUNTS)
@given(value=st.integers(-3, 10**10).map(str) | st.text("0123456789.-+ e²٣", max_size=11))
def test_counts(name: str, value: str) -> None:
    # With zeros before it a number would be taken on the command line: nobody writes it so.
    plain = not value.startswith("0")
    assert matches(name, value) == (plain and not refusal(name, value))


def test_all_counts_are_tried() -> None:
    assert len(COUNTS) == 11
    assert {"top_words", "slices", "processes", "held_texts"} <= set(COUNTS)


@given(value=st.sampled_from(MODES) | st.text(max_size=8))
def test_text(value: str) -> None:
    assert matches("text", value) == (not refusal("text", value))


CODES = st.sampled_from([*LANGUAGES, " en", "fr ", "xx", "english", ""])


@given(value=st.lists(CODES, max_size=4).map(",".join) | st.text("enfr, ", max_size=9))
def test_languages(value: str) -> None:
    assert matches("languages", value) == (not refusal("languages", value))


TIMES = st.builds(
    lambda time, sign, offset: f"{time}{offset or 'Z'}".replace("T", sign),
    st.datetimes().map(lambda time: time.isoformat()),
    st.sampled_from("Tt "),
    st.sampled_from(["", "z", "+01:30", "-23:59", "+24:00", "+0130", "+01:60", "+01:30:00"]),
)
ODD_TIMES = st.from_regex(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,7})?Z"
)


def in_calendar(value: str) -> bool:
    try:
        date.fromisoformat(value[:10])
    except ValueError:
        return False
    return True


@example(value="0000-01-01T00:00:00Z")
@example(value="2015-02-30T00:00:00Z")
@given(value=TIMES | ODD_TIMES | st.text("0123456789-:.TZ+ ", max_size=25))
def test_until(value: str) -> None:
    refused = refusal("until", value)
    # A pattern has no calendar: it does not know the 30th of February, nor where years begin.
    if matches("until", value) and (not in_calendar(value) or "after the year 1" in refused):
        assert refused
    else:
        assert matches("until", value) == (not refused)


@example(value="735608.0000000001")  # to just before the year 1
@given(value=st.decimals(0, 10**6, places=10).map("{:f}".format) | st.text("012.e-+ _", max_size=9))
def test_days(value: str) -> None:
    refused = refusal("days", value)
    if "begin after the year 1" in refused and is_long(value):
        return
    if matches("days", value):
        assert not refused
    # On the command line Python's other ways to write a number are taken too.
    elif not refused:
        assert re.search("[-e+ _]|[.]$", value)


def is_long(value: str) -> bool:
    """Whether a number of days leads from 2015 to before the year 1."""
    return re.fullmatch(r"[0-9]{6}[0-9]*([.][0-9]*)?", value) is not None


@pytest.mark.parametrize("name", ["source", "sink"])
def test_ends(name: str) -> None:
    [pattern] = PARAMETERS[name]["regexes"]

    @given(value=st.from_regex(pattern, fullmatch=True))
    def check(value: str) -> None:
        datastore.check(value) if name == "source" else warehouse.connect(value)

    check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "sqlite:///posts.db"),
        ("source", "datastore://"),
        ("source", "datastore://p?kind=x"),
        ("sink", "duckdb:///results.duckdb"),
        ("sink", "bigquery://p"),
        ("sink", "bigquery://p/d?locaton=EU"),
        ("stopwords_file", ""),
    ],
)
def test_what_workers_cannot_reach_is_refused(name: str, value: str) -> None:
    assert not matches(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "datastore://example.com:my-project?namespace=n&database=d"),
        ("sink", "bigquery://my-project/timeline?location=europe-west1"),
        ("stopwords_file", "/template/stop words.txt"),
    ],
)
def test_what_workers_reach_is_accepted(name: str, value: str) -> None:
    assert matches(name, value)


def test_the_chain_gives_parameters_that_there_are() -> None:
    chains: dict[str, Any] = yaml.safe_load((ROOT / "chains-dataflow.yaml").read_text())
    [step] = (s for c in chains["chains"] for s in c["steps"] if s["kind"] == "flex-template")
    # The image is an option of Beam, which Dataflow knows without being told.
    assert set(step["parameters"]) - set(PARAMETERS) == {"sdk_container_image"}
