"""What Dataflow's workers install: this package as it is here, its requirements, and no more.

It is made anew for each job, from the installed package, so that no clone is needed to launch one.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)
from packaging.requirements import Requirement

from dfpipe.errors import UsageError
from dfpipe.version import VERSION

PACKAGE = Path(__file__).parents[1]
ROOT = f"dfpipe-{VERSION}"
SUFFIXES = {".py", ".sql", ".yaml", ".typed"}
PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "dfpipe"
version = "{version}"
requires-python = ">=3.11"
dependencies = {requirements}

[tool.setuptools]
packages = {packages}

[tool.setuptools.package-data]
dfpipe = ["**/*"]
"""


@contextmanager
def staged(options: PipelineOptions) -> Iterator[None]:
    """Within it, a job that is submitted to Dataflow brings this package along.

    What the options say themselves counts: a setup file, a package of this name, or an image, which
    is expected to have it. Nor is the main session saved, unless they ask for it: all that a worker
    runs is in the package. Raises UsageError.
    """
    setup = options.view_as(SetupOptions)
    if not is_dataflow(options):
        yield
        return
    # Beam would look for the job to replace, and never stop where there is none.
    if options.view_as(GoogleCloudOptions).update:
        raise UsageError("--update is for jobs that stream, which this is not: leave it out")
    setup.save_main_session = bool(setup.save_main_session)
    if _bring_their_own(options):
        yield
        return
    with TemporaryDirectory() as folder:
        setup.extra_packages = [*(setup.extra_packages or []), str(write_sdist(Path(folder)))]
        yield


def is_dataflow(options: PipelineOptions) -> bool:
    """Whether the options name Dataflow's runner, in any of Beam's spellings."""
    return "dataflow" in (options.view_as(StandardOptions).runner or "").lower()


def is_only_described(options: PipelineOptions) -> bool:
    """Whether Dataflow's runner is to describe a job only, as for a template, and start none."""
    is_dry = options.view_as(TestOptions).dry_run
    is_template = options.view_as(GoogleCloudOptions).template_location
    return is_dataflow(options) and bool(is_dry or is_template)


def _bring_their_own(options: PipelineOptions) -> bool:
    setup = options.view_as(SetupOptions)
    packages = [Path(name).name for name in setup.extra_packages or []]
    return bool(
        setup.setup_file
        or options.view_as(WorkerOptions).sdk_container_image
        or any(name.startswith("dfpipe-") for name in packages)
    )


def write_sdist(folder: Path) -> Path:
    """Write the source distribution; the same package gives the same bytes. Raises UsageError."""
    files = {f"dfpipe/{path.relative_to(PACKAGE).as_posix()}": path for path in package_files()}
    pinned = requirements()
    project = PROJECT.format(
        version=VERSION,
        requirements=json.dumps(pinned, indent=4),
        packages=json.dumps(_packages(files), indent=4),
    )
    about = ["Metadata-Version: 2.1", "Name: dfpipe", f"Version: {VERSION}"]
    about += [f"Requires-Dist: {each}" for each in pinned]
    contents = {name: path.read_bytes() for name, path in files.items()}
    contents |= {"PKG-INFO": "\n".join([*about, ""]).encode(), "pyproject.toml": project.encode()}
    made = folder / f"{ROOT}.tar.gz"
    made.write_bytes(_archive(contents))
    return made


def package_files() -> list[Path]:
    """Return the files of this package, without what else may lie in its folder."""
    return sorted(path for path in PACKAGE.rglob("*") if path.suffix in SUFFIXES)


def requirements() -> list[str]:
    """Return what a worker needs besides Beam, each in the version that is installed here.

    Their own requirements are left to Beam's image: it has the most of them, in versions that the
    Beam of this version works with. Raises UsageError.
    """
    try:
        needed = [Requirement(text) for text in metadata.requires("dfpipe") or []]
        plain = [each.name for each in needed if each.marker is None or each.marker.evaluate()]
        return sorted(f"{name}=={metadata.version(name)}" for name in plain)
    except metadata.PackageNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed here, so workers cannot be told to: "
            "pip install dfpipe, or give --setup_file or --sdk_container_image"
        ) from error


def _packages(files: dict[str, Path]) -> list[str]:
    folders = [name.rpartition("/")[0] for name in files if name.endswith("/__init__.py")]
    return [folder.replace("/", ".") for folder in folders]


def _archive(contents: dict[str, bytes]) -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in sorted(contents.items()):
            member = tarfile.TarInfo(f"{ROOT}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(plain.getvalue(), mtime=0)
