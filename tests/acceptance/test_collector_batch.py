"""The batch of users, in small: cron, dispatcher, gunicorn, three networks and the store."""

import re
import subprocess
import sys

from tests.support.command import environment
from tests.support.processes import ROOT


def test_a_batch_of_users_from_cron_to_the_store() -> None:
    module = "benchmarks.collector_timeline"
    done = subprocess.run(
        [sys.executable, "-m", module, "--accounts=30", "--posts=45"],
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "30 accounts, 1350 posts in" in done.stdout
    assert "the store holds exactly the posts of the networks" in done.stdout
    megabytes = [int(number) for number in re.findall(r": (\d+) MB at most", done.stdout)]
    assert len(megabytes) == 3
    assert max(megabytes) < 250
