"""Stages under the paths that are stored in workflows."""

import pytest

from launcher.chains import stages
from workflow import registry
from workflow.registry import MissingClassError


@pytest.mark.parametrize("name", ["ChainStage", "EndStage", "StepStage"])
def test_executions_that_an_earlier_version_started_find_their_stages(name: str) -> None:
    assert registry.find(f"launcher.stages.{name}") is getattr(stages, name)
    assert registry.find(f"launcher.chains.stages.{name}") is getattr(stages, name)


@pytest.mark.parametrize("name", ["Absent", "__all__", "ChainStage.run"])
def test_what_is_not_a_stage_is_not_found_there(name: str) -> None:
    with pytest.raises(MissingClassError, match="launcher.stages"):
        registry.find(f"launcher.stages.{name}")
