"""Classes of stages by their paths: those that this process has, and those that it can import."""

import importlib
import sys
from pathlib import Path
from typing import Any

_classes: dict[str, type[Any]] = {}


class MissingClassError(Exception):
    """There is no class with that path, or its module cannot be imported; the message says why."""


def path_of(found: type[Any]) -> str:
    """The path of a class: module.Class. The program that was started has its module's real name.

    >>> path_of(Path)
    'pathlib.Path'
    """
    module = found.__module__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None)
        module = spec.name if spec else Path(file).stem if file else module
    return f"{module}.{found.__qualname__}"


def register(found: type[Any]) -> None:
    """Let a class be found by its path."""
    _classes[path_of(found)] = found


def names() -> list[str]:
    """The paths of the classes that this process has, in order."""
    return sorted(_classes)


def find(path: str) -> type[Any]:
    """The class of a path, imported now if need be; raises MissingClassError."""
    if path in _classes:
        return _classes[path]
    parts = path.split(".")
    # A module may have been added since the last look.
    importlib.invalidate_caches()
    problem: Exception = MissingClassError("it has no module")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            problem = error
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                break
        except Exception as error:  # whatever the module does when it is imported
            problem = error
            break
        else:
            # A class that has moved is found where its old module imports it.
            named = _classes.get(path) or getattr(sys.modules[module], parts[-1], None)
            if isinstance(named, type) and named in _classes.values():
                return named
            problem = MissingClassError(f"{module} has no stage {'.'.join(parts[end:])}")
            break
    raise MissingClassError(f"{path} cannot be imported: {problem}") from problem
