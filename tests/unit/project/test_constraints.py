"""constraints.txt has one version of every requirement, for each Python that is supported."""

from importlib import metadata

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import ROOT

LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]
PYTHONS = ["3.11.0", "3.11.4", "3.12.0", "3.13.0", "3.14.0"]


def pinned(python: str) -> dict[str, str]:
    """The version of each library that is installed with a Python."""
    short = ".".join(python.split(".")[:2])
    here = {**default_environment(), "python_full_version": python, "python_version": short}
    pins = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate(here)]
    found = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    assert len(found) == len(pins)
    return {name: version.removeprefix("==") for name, version in found.items()}


def test_every_line_names_one_version() -> None:
    assert all([part.operator for part in pin.specifier] == ["=="] for pin in PINS)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_of_setup_py_is_pinned(python: str) -> None:
    pins = pinned(python)
    for line in metadata.requires("dfpipe") or []:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), line


def test_the_supported_pythons_are_the_same_everywhere() -> None:
    found = metadata.metadata("dfpipe")
    assert found["Requires-Python"] == ">=3.11"
    prefix = "Programming Language :: Python :: 3."
    named = [line for line in found.get_all("Classifier") or [] if line.startswith(prefix)]
    assert named == [f"{prefix}{minor}" for minor in (11, 12, 13)]
