"""The distribution for workers, and when a job brings it along."""

import ast
import re
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions
from packaging.requirements import Requirement

from dfpipe.engines import staging
from dfpipe.errors import UsageError
from dfpipe.version import VERSION
from tests.support.processes import ROOT


@pytest.fixture
def project(tmp_path: Path) -> dict[str, Any]:
    """What the distribution's pyproject.toml says."""
    with tarfile.open(staging.write_sdist(tmp_path)) as archive:
        file = archive.extractfile(f"{staging.ROOT}/pyproject.toml")
        assert file
        return tomllib.loads(file.read().decode())


def of_workers() -> list[str]:
    """The names in setup.py's list for workers."""
    module = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    lists = {
        ast.unparse(node.targets[0]): node.value
        for node in module.body
        if isinstance(node, ast.Assign)
    }
    found = ast.literal_eval(lists["WORKER"])
    return [Requirement(text).name for text in found]


def test_workers_get_the_versions_that_are_here(project: dict[str, Any]) -> None:
    found = project["project"]
    assert (found["name"], found["version"]) == ("dfpipe", VERSION)
    assert found["dependencies"] == sorted(f"{n}=={metadata.version(n)}" for n in of_workers())


def test_the_distribution_has_the_modules_of_workers(tmp_path: Path) -> None:
    with tarfile.open(staging.write_sdist(tmp_path)) as archive:
        found = {name.removeprefix(f"{staging.ROOT}/") for name in archive.getnames()}
    expected = {str(path.relative_to(ROOT)) for path in staging.worker_files()}
    assert found == expected | {"PKG-INFO", "pyproject.toml"}


def test_every_folder_with_modules_of_workers_is_a_package_that_is_installed(
    project: dict[str, Any],
) -> None:
    found = set(project["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(ROOT) for path in staging.worker_files()}
    assert found == {".".join(folder.parts) for folder in folders}


def test_the_same_package_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made.append(staging.write_sdist(tmp_path / name).read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "a" / f"{staging.ROOT}.tar.gz") as archive:
        members = archive.getmembers()
    # Nothing of this machine: no owner, no times.
    assert {(m.mtime, m.uid, m.uname, m.mode) for m in members} == {(0, 0, "", 0o644)}


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["no-such-library>=1"])
    with pytest.raises(UsageError, match="no-such-library is not installed here.* --setup_file or"):
        staging.requirements()


def test_a_requirement_of_an_extra_is_none_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["click>=8; extra == 'local'", "numpy>=2", "scipy; python_version < '3'"]
    monkeypatch.setattr(metadata, "requires", lambda name: listed)
    assert staging.requirements() == [f"numpy=={metadata.version('numpy')}"]


def setup_of(*argv: str) -> tuple[list[str], bool | None]:
    """The names of the extra packages, and whether the main session is saved."""
    options = PipelineOptions(list(argv))
    with staging.staged(options):
        setup = options.view_as(SetupOptions)
        packages = setup.extra_packages or []
        assert all(Path(name).is_file() for name in packages if "/" in name)
        return [Path(name).name for name in packages], setup.save_main_session


OURS = f"{staging.ROOT}.tar.gz"


@pytest.mark.parametrize(
    "runner", ["DataflowRunner", "dataflow", "apache_beam.runners.dataflow.DataflowRunner"]
)
def test_a_job_of_dataflow_brings_the_package(runner: str) -> None:
    assert setup_of(f"--runner={runner}") == ([OURS], False)


@pytest.mark.parametrize("argv", [[], ["--runner=FlinkRunner"]], ids=["none", "flink"])
def test_other_runners_are_left_alone(argv: list[str]) -> None:
    assert setup_of(*argv) == ([], None)


@pytest.mark.parametrize(
    ("word", "packages"),
    [
        ("--setup_file=/clone/setup.py", []),
        ("--sdk_container_image=example.com/worker", []),
        ("--extra_package=dfpipe-9.tar.gz", ["dfpipe-9.tar.gz"]),
        ("--extra_package=other-1.tar.gz", ["other-1.tar.gz", OURS]),
    ],
    ids=["setup file", "image", "own package", "other package"],
)
def test_what_the_options_say_counts(word: str, packages: list[str]) -> None:
    assert setup_of("--runner=DataflowRunner", word) == (packages, False)


def test_a_job_that_is_no_stream_is_not_updated() -> None:
    with pytest.raises(UsageError, match="--update works only for streaming jobs"):
        setup_of("--runner=DataflowRunner", "--update")


def test_the_main_session_is_saved_for_who_asks_for_it() -> None:
    assert setup_of("--runner=DataflowRunner", "--save_main_session") == ([OURS], True)


def test_the_images_take_their_versions_from_the_arguments() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert "python:${PYTHON}-slim-bookworm" in images
    assert "apache/beam_python${PYTHON}_sdk:${BEAM}" in images
    # A name has no place for an argument's dot: another test holds it and PYTHON together.
    [template] = (image for image in images if "template-launcher" in image)
    assert re.fullmatch(r"\S+/python\d+-template-launcher-base:\$\{TEMPLATE_LAUNCHER\}", template)


def test_the_flink_that_is_told_of_is_that_which_was_tried() -> None:
    pom = (ROOT / "tests" / "support" / "flink-pom.xml").read_text(encoding="utf-8")
    beam, flink = (re.findall(rf"<{name}.version>(.*)<", pom)[0] for name in ("beam", "flink"))
    text = (ROOT / "docs" / "how-to" / "engines.md").read_text(encoding="utf-8")
    minor = ".".join(flink.split(".")[:2])
    assert set(re.findall(r"Flink (\d[\d.]*\d)", text)) == {minor}
    assert set(re.findall(r"--flink_version=([\d.]+)", text)) == {minor}
    assert set(re.findall(r"job server of Beam ([\d.]+\d)", text)) == {beam}
