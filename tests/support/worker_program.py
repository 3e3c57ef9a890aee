"""A worker of a pipeline, with what it has installed and no more; `python -I -S` runs this file.

Its words are the folder of installed libraries, that of the installed package, the file of a staged
pipeline, its options in JSON, and names of modules. It executes the pipeline, and prints what that
has counted, the steps of the package, and which of the modules can be imported. Of the libraries
only those can be imported that Beam or the package asks for.
"""

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any


def main() -> None:
    libraries, package, file, options, *modules = sys.argv[1:]
    sys.path += [package, libraries]
    installed = needed(["apache-beam[gcp]", "dfpipe"])
    sys.meta_path.insert(0, Refusing(installed))
    found = {
        "counters": run(file, json.loads(options)),
        "steps": sorted(steps()),
        "modules": [name for name in modules if can_import(name)],
    }
    sys.stdout.write(json.dumps(found))


class Refusing(MetaPathFinder):
    """Refuses the modules of all distributions but those given."""

    def __init__(self, installed: set[str]) -> None:
        self.refused = {
            module
            for module, owners in metadata.packages_distributions().items()
            if not any(plain(owner) in installed for owner in owners)
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self.refused:
            raise ModuleNotFoundError(f"a worker has no {name}", name=name)


def plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def needed(requirements: Sequence[str]) -> set[str]:
    """The distributions that requirements ask for, and those that these ask for, and so on."""
    from packaging.requirements import Requirement

    waiting = [Requirement(text) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        each = waiting.pop()
        key = (plain(each.name), frozenset(each.extras))
        if key in seen:
            continue
        seen.add(key)
        for text in metadata.requires(each.name) or []:
            asked = Requirement(text)
            marker = asked.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *each.extras)):
                waiting.append(asked)
    return {name for name, _ in seen}


def steps() -> Iterator[str]:
    """The names of the package's classes that Beam makes steps of."""
    import apache_beam as beam

    import dfpipe.transforms

    modules = pkgutil.walk_packages(dfpipe.transforms.__path__, "dfpipe.transforms.")
    for name in [*(module.name for module in modules), "dfpipe.pipeline"]:
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if found.__module__ == name and issubclass(
                found, (beam.DoFn, beam.CombineFn, beam.PTransform)
            ):
                yield f"{name}.{found.__qualname__}"


def can_import(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def run(file: str, options: dict[str, Any]) -> dict[str, int]:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import EmbeddedPythonEnvironment

    pipeline = beam_runner_api_pb2.Pipeline.FromString(Path(file).read_bytes())
    embedded = EmbeddedPythonEnvironment.default().to_runner_api(None)
    for environment in pipeline.components.environments.values():
        environment.CopyFrom(embedded)
    RuntimeValueProvider.set_runtime_options(options)
    result = FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([]))
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {each.key.metric.name: each.committed for each in counters if each.committed}


if __name__ == "__main__":
    main()
