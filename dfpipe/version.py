"""The version of this package, as it stands in each run's row."""

VERSION = "0.1.0"
