"""What the engines are compared with."""

from pathlib import Path

import pytest

from tests.support.engines import Reference


@pytest.fixture(scope="session")
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    def data() -> Path:
        folder: Path = request.getfixturevalue("data")  # a skip where it is absent
        return folder

    return Reference(tmp_path_factory.mktemp("reference"), data)
