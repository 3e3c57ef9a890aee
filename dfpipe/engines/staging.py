"""The distribution that Dataflow's workers install: the modules that they import.

It is built for each job from the installed package, so launching a job needs no clone.
"""

import ast
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
    WorkerOptions,
)
from packaging.requirements import Requirement

from dfpipe.engines.dataflow import is_dataflow
from dfpipe.errors import UsageError
from dfpipe.version import VERSION
from dfpipe.warehouse import KINDS

PACKAGE = Path(__file__).parents[1]
ROOT = f"dfpipe-{VERSION}"
# What workers start from; warehouses are imported by their names.
ENTRIES = ("dfpipe.pipeline", *(kind.module for kind in KINDS.values() if not kind.is_local))
COMMAND_LINE = {"click"}  # which every installation has, and no worker imports
# Imported for a store in a file, which workers cannot reach.
LOCAL_ONLY = {"dfpipe.datastore.embedded"}
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
"""


@contextmanager
def staged(options: PipelineOptions) -> Iterator[None]:
    """Stage this package with a job that is submitted to Dataflow within the block.

    Options take precedence: a setup file, a package of this name, or an image, which is expected to
    contain it. The main session is not saved unless the options say so, because the package has all
    that a worker runs. Raises UsageError.
    """
    setup = options.view_as(SetupOptions)
    if not is_dataflow(options):
        yield
        return
    # Beam would look for the job to replace for ever if there is none.
    if options.view_as(GoogleCloudOptions).update:
        raise UsageError("--update works only for streaming jobs, and this is a batch job: omit it")
    setup.save_main_session = bool(setup.save_main_session)
    if _bring_their_own(options):
        yield
        return
    with TemporaryDirectory() as folder:
        setup.extra_packages = [*(setup.extra_packages or []), str(write_sdist(Path(folder)))]
        yield


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
    files = {f"dfpipe/{path.relative_to(PACKAGE).as_posix()}": path for path in worker_files()}
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


def worker_files() -> list[Path]:
    """Return the files of the modules that workers import, directly or through others."""
    found: set[Path] = set()
    wanted = set(ENTRIES)
    while wanted:
        file = _file(wanted.pop())
        if file and file not in found:
            found.add(file)
            wanted |= _imports(file) - LOCAL_ONLY
    return sorted(found)


def _file(module: str) -> Path | None:
    """Return the file of a module of this package; None for a name that is not a module."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def _imports(file: Path) -> set[str]:
    """Return what a file imports of this package, also within functions, and the packages of it.

    A name that it takes from a module is given as if it were a module.
    """
    nodes = list(ast.walk(ast.parse(file.read_bytes())))
    names = [each.name for node in nodes if isinstance(node, ast.Import) for each in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{each.name}" for each in node.names]
    parts = [name.split(".") for name in names if name.startswith("dfpipe.")]
    return {".".join(path[: i + 1]) for path in parts for i in range(len(path))}


def requirements() -> list[str]:
    """Return what a worker needs besides Beam, each in the version that is installed here.

    Beam's image provides most of what they require in turn, in versions that this Beam works with.
    Raises UsageError.
    """
    try:
        needed = [Requirement(text) for text in metadata.requires("dfpipe") or []]
        plain = {each.name for each in needed if each.marker is None or each.marker.evaluate()}
        return sorted(f"{name}=={metadata.version(name)}" for name in plain - COMMAND_LINE)
    except metadata.PackageNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed here, so its version for workers is not known: install "
            "dfpipe with pip, or give --setup_file or --sdk_container_image"
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
