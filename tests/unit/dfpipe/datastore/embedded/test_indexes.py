"""index.yaml declares to Google Cloud the indexes that the embedded store builds."""

from pathlib import Path

import yaml

from dfpipe.datastore.embedded.indexes import DECLARED

ROOT = Path(__file__).parents[5]


def test_index_yaml_is_what_the_code_declares() -> None:
    declared = yaml.safe_load((ROOT / "index.yaml").read_text())["indexes"]
    found = {
        (index["kind"], tuple(each["name"] for each in index["properties"])) for index in declared
    }
    assert found == DECLARED
    assert all(set(each) == {"name"} for index in declared for each in index["properties"])
