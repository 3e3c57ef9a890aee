"""What is checked before a job is submitted to Dataflow."""

import importlib.util

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from dfpipe.engines.dataflow import check_installed
from dfpipe.errors import UsageError


@pytest.fixture
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam without its libraries for Google's services."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.usefixtures("laptop")
def test_dataflow_without_its_libraries() -> None:
    with pytest.raises(UsageError, match=r"pip install 'dfpipe\[beam\]'"):
        check_installed(PipelineOptions(["--runner=DataflowRunner"]))


@pytest.mark.usefixtures("laptop")
def test_other_runners_need_none_of_them() -> None:
    check_installed(PipelineOptions(["--runner=PrismRunner"]))


def test_dataflow_with_its_libraries() -> None:
    check_installed(PipelineOptions(["--runner=DataflowRunner"]))
