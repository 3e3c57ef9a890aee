"""The batch of 800 users: cron, one task for each account, gunicorn, three networks, the store.

The networks are fakes on loopback that answer over HTTP in the shapes of the real ones; they run in
a process of their own. At the end the store must hold exactly what they have.
"""

import argparse
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Not this folder, where a file has the package's name.
sys.path[0] = str(ROOT)

import psutil  # noqa: E402  # after the path

from collector.fetching.accounts import Accounts  # noqa: E402  # the same
from dfpipe.datastore import connect  # noqa: E402  # the same
from tests.support.collecting import stored_posts  # noqa: E402  # the same
from tests.support.network_server import TOKEN, serving_networks  # noqa: E402  # the same
from tests.support.networks import World  # noqa: E402  # the same
from tests.support.processes import free_port, process, wait_until  # noqa: E402  # the same

TEXT = "Storm over the harbour, ferries cancelled until further notice, says the port authority "


def make_world(accounts: int, posts: int, now: datetime) -> tuple[World, list[str]]:
    """So many accounts over three networks, each with so many posts of the last days."""
    world, names = World(), []
    rng = random.Random(3)
    for number in range(accounts):
        network = ("x", "bluesky", "mastodon")[number % 3]
        user = {"x": f"x{number}", "bluesky": f"b{number}.test"}.get(network, f"m{number}")
        name = f"@{user}" if network == "x" else user
        for _ in range(posts):
            created = now - timedelta(milliseconds=rng.randrange(1000, 400_000_000))
            world.post(network, [name], user, created, f"{TEXT}{rng.randrange(10**9)}")
        names.append(f"{network}:{name}")
    return world, names


def serve(accounts: int, posts: int, port: int, now: datetime) -> None:
    """Be the networks."""
    world, _ = make_world(accounts, posts, now)
    with serving_networks(world, lambda: now, port):
        sys.stdin.read()


def peak_megabytes(pid: int) -> float:
    """The most memory that a process has had."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """The time of processors that a process has had."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def answers(url: str) -> bool:
    """Whether a GET of the URL succeeds."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def environment(folder: Path, networks: str, token: str) -> dict[str, str]:
    """What the service is told."""
    return {
        **os.environ,
        "DFPIPE_STORE": f"sqlite:///{folder}/store.db",
        "DFPIPE_TASK_TOKEN": token,
        "COLLECTOR_QUEUE_YAML": str(ROOT / "queue.yaml"),
        "COLLECTOR_X_URL": networks,
        "COLLECTOR_X_BEARER_TOKEN": TOKEN,
        "COLLECTOR_BLUESKY_URL": networks,
        "COLLECTOR_BLUESKY_HANDLE": "me.test",
        "COLLECTOR_BLUESKY_PASSWORD": "a-password",
        "COLLECTOR_MASTODON_URL": networks,
        "COLLECTOR_MASTODON_TOKEN": TOKEN,
    }


def run(words: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
    """Start everything, call cron once, and wait until all accounts are fetched."""
    now = datetime.now(UTC).replace(microsecond=0)
    world, names = make_world(words.accounts, words.posts, now)
    network_port, port = free_port(), free_port()
    networks, url = f"http://127.0.0.1:{network_port}", f"http://127.0.0.1:{port}"
    token = secrets.token_urlsafe()
    env = environment(folder, networks, token)
    options = [f"--{name}={getattr(words, name)}" for name in ("accounts", "posts")]
    serving = [sys.executable, __file__, f"--serve={network_port}", f"--now={now.isoformat()}"]
    server = subprocess.Popen([*serving, *options], stdin=subprocess.PIPE)
    stack.callback(server.kill)
    client = connect(env["DFPIPE_STORE"])
    accounts = Accounts(client)
    for name in names:
        accounts.follow(name, now)
    gunicorn = ["--workers", "2", "--threads", "4", "--bind", f"127.0.0.1:{port}"]
    gunicorn += ["--log-level", "error", "collector.app:create_app()"]
    service = stack.enter_context(process("-m", "gunicorn", *gunicorn, env=env))
    sending = ["--store", env["DFPIPE_STORE"], "--queue_yaml", str(ROOT / "queue.yaml")]
    sending += ["--target", url, "--poll_secs", "0.1", "--log_level", "ERROR"]
    dispatcher = stack.enter_context(process("-m", "taskqueue", "dispatch", *sending, env=env))
    networks_url = f"{networks}/api/v2/instance/"
    wait_until(lambda: answers(f"{url}/healthz") and answers(networks_url), 180)
    begun = time.perf_counter()
    cron = urllib.request.Request(f"{url}/timeline", headers={"Authorization": f"Bearer {token}"})
    urllib.request.urlopen(cron, timeout=60).close()
    seen = 0
    while seen < words.accounts:
        time.sleep(0.5)
        seen = sum(account.watermark is not None for account in accounts.all())
        if time.perf_counter() - begun > 600:
            raise SystemExit(f"only {seen} accounts were fetched in 600 s")
    report(words, time.perf_counter() - begun, service, dispatcher, server)
    if stored_posts(client) != world.expected(now):
        raise SystemExit("the store does not hold what the networks have")
    print("the store holds exactly the posts of the networks")


def report(
    words: argparse.Namespace, seconds: float, service: Any, dispatcher: Any, server: Any
) -> None:
    """Print the figures."""
    posts = words.accounts * words.posts
    print(f"{words.accounts} accounts, {posts} posts in {seconds:.1f} s: {posts / seconds:.0f}/s")
    workers = [child.pid for child in psutil.Process(service.pid).children()]
    rows = [("gunicorn's arbiter", service.pid), ("dispatcher", dispatcher.pid)]
    rows += [("gunicorn's worker", pid) for pid in workers]
    for name, pid in [*rows, ("fake networks", server.pid)]:
        print(f"{name}: {peak_megabytes(pid):.0f} MB at most, {cpu_seconds(pid):.1f} s of CPU")


def main() -> None:
    """Run the benchmark, or be its networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=800)
    parser.add_argument("--posts", type=int, default=100, help="of each account")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.serve:
        serve(words.accounts, words.posts, words.serve, words.now)
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run(words, Path(folder), stack)


if __name__ == "__main__":
    main()
