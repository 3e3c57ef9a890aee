"""Public names of a package that are imported when they are first used (PEP 562).

A command then shows its help without the store's client, which takes half a second to import.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any


def on_demand(package: str, names: Sequence[str], modules: Sequence[str]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package: `names` are looked for in `modules`, in that order.

    The modules before the one that has the name are imported too, so list them from light to heavy.
    """

    def find(name: str) -> Any:
        if name in names:
            for module in modules:
                found = vars(importlib.import_module(f"{package}.{module}"))
                if name in found:
                    setattr(sys.modules[package], name, found[name])
                    return found[name]
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
