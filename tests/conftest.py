"""Fixtures shared by the whole suite; each real server has its own file in tests/support."""

from hypothesis import settings

# The machine that runs the suite may be busy: an example that takes long has not failed.
settings.register_profile("dfpipe", deadline=None)
settings.load_profile("dfpipe")

pytest_plugins = [
    "tests.support.data",
    "tests.support.datastore_emulator",
    "tests.support.bigquery_emulator",
    "tests.support.queue_stub",
    "tests.support.browser",
    "tests.support.bench",
    "tests.support.workflow_running",
]
