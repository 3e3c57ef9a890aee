"""A how-to that is followed once for all tests of a file."""

from pathlib import Path

import pytest

from tests.support.gcloud import Followed, at, find_gcloud, follow, quiet
from tests.support.gcloud_apis import serving


@pytest.fixture(scope="module")
def followed(document: Path, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    find_gcloud()
    folder = tmp_path_factory.mktemp("gcloud")
    with serving() as apis:
        sections = follow(document, folder, {**quiet(folder), **at(apis)})
    return Followed(sections, apis)
