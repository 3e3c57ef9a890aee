"""Fixtures shared by the whole suite; each real server has its own file in tests/support."""

import signal

import prometheus_client
from hypothesis import settings

# Imported before a test can name a folder for the counts of several processes: here is but one.
assert prometheus_client.values.ValueClass.__name__ == "MutexValue"
# A suite in the background of a shell ignores Ctrl-C, and so would all programs that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The machine that runs the suite may be busy: an example that takes long has not failed.
settings.register_profile("dfpipe", deadline=None)
settings.load_profile("dfpipe")

pytest_plugins = [
    "tests.support.clean_process",
    "tests.support.data",
    "tests.support.datastore_emulator",
    "tests.support.bigquery_emulator",
    "tests.support.queue_stub",
    "tests.support.browser",
    "tests.support.bench",
    "tests.support.workflow_running",
    "tests.support.launcher_site",
]
