"""Readers of archives and of API pages: one module a format, each from parsed JSON to results."""
