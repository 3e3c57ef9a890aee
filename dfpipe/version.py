"""The version of this package, which each run records."""

VERSION = "0.1.0"
