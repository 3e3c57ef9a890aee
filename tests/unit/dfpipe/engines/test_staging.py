import subprocess
import sys
from pathlib import Path

from dfpipe.engines.staging import ENTRIES, PACKAGE, worker_files

IMPORTED = """
import sys
for name in sys.argv[1:]:
    __import__(name)
print(*[module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "dfpipe"])
"""


def test_all_that_workers_import_is_staged() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *ENTRIES], capture_output=True, text=True, check=True
    )
    assert set(map(Path, done.stdout.split())) <= set(worker_files())


def test_nothing_is_staged_that_only_the_command_needs() -> None:
    staged = {path.relative_to(PACKAGE).as_posix() for path in worker_files()}
    assert {"pipeline.py", "warehouse/bigquery_warehouse.py", "datastore/connecting.py"} <= staged
    assert not {"cli.py", "launch.py", "datastore/embedded/client.py"} & staged
    assert not {name for name in staged if name.startswith(("commands/", "demo/", "posts/formats"))}
    assert not {name for name in staged if "duckdb" in name or "flink" in name}
