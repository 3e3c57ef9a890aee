"""Give the BigQuery emulator's DuckDB, from its wheel, the extension that it loads at its start.

Run in the emulator's environment; it is installed in $HOME/.duckdb.
"""

from pathlib import Path

import duckdb
import duckdb_extension_spatial as spatial

(file,) = Path(spatial.__file__).parent.glob("extensions/*/spatial.duckdb_extension")
duckdb.execute(f"INSTALL '{file}'")
