"""The pipeline on Prism, the engine that DirectRunner takes where it can be downloaded."""

from pathlib import Path

import pytest

from tests.support.engine_cases import CASES, Case, name_of
from tests.support.engines import Reference, run

PRISM = Path(__file__).parents[2] / ".engines" / "prism"


@pytest.fixture(scope="session")
def prism() -> list[str]:
    if not PRISM.exists():
        pytest.skip("Prism is not here: `make engines`, with Go and a network, builds it")
    return ["--runner=PrismRunner", f"--prism_location={PRISM}"]


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_same_tables(case: Case, reference: Reference, prism: list[str], tmp_path: Path) -> None:
    expected = reference.tables(case)
    found = run(case, reference.store(case), f"duckdb:///{tmp_path}/r.duckdb", *prism)
    assert found == expected
