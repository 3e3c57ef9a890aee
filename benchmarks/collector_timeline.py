"""Measure a batch of 800 accounts: cron, one task for each account, three networks, the store.

`python -m benchmarks.collector_timeline`. The networks are fakes on loopback that answer in the
shapes of the real ones, in a process of their own. At the end the store must hold exactly what they
have.
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
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import psutil

from benchmarks import lab
from collector.fetching.accounts import Accounts
from dfpipe.datastore import connect
from tests.support.collecting import stored_posts
from tests.support.network_server import TOKEN, serving_networks
from tests.support.networks import World
from tests.support.processes import ROOT, free_port, process, wait_until

TEXT = "Storm over the harbour, ferries cancelled until further notice, says the port authority "
PATIENCE = 600.0  # seconds


def make_world(accounts: int, posts: int, now: datetime) -> tuple[World, list[str]]:
    """Return accounts on three networks, each with posts of the last days, and their names."""
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


def answers(url: str) -> bool:
    """Whether a GET of the URL succeeds."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def environment(folder: str, networks: str, token: str) -> dict[str, str]:
    """Return the settings of the service."""
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


def measure(args: argparse.Namespace, folder: str, stack: ExitStack) -> None:
    """Start everything, call cron once, wait until all accounts are fetched, and print."""
    now = datetime.now(UTC).replace(microsecond=0)
    world, names = make_world(args.accounts, args.posts, now)
    network_port, port = free_port(), free_port()
    networks, url = f"http://127.0.0.1:{network_port}", f"http://127.0.0.1:{port}"
    token = secrets.token_urlsafe()
    env = environment(folder, networks, token)
    fakes = [sys.executable, "-m", "benchmarks.collector_timeline", f"--serve={network_port}"]
    fakes += [f"--now={now.isoformat()}", f"--accounts={args.accounts}", f"--posts={args.posts}"]
    server = subprocess.Popen(fakes, stdin=subprocess.PIPE, cwd=ROOT)
    stack.callback(server.kill)
    client = connect(env["DFPIPE_STORE"])
    accounts = Accounts(client)
    for name in names:
        accounts.follow(name, now)
    gunicorn = ["--workers=2", "--threads=4", f"--bind=127.0.0.1:{port}", "--log-level=error"]
    service = process("-m", "gunicorn", *gunicorn, "collector.app:create_app()", env=env)
    sending = ["--store", env["DFPIPE_STORE"], "--queue-yaml", str(ROOT / "queue.yaml")]
    sending += ["--target", url, "--poll-secs", "0.1", "--log-level", "ERROR"]
    dispatcher = process("-m", "taskqueue", "dispatch", *sending, env=env)
    running = {
        "gunicorn": psutil.Process(stack.enter_context(service).pid),
        "dispatcher": psutil.Process(stack.enter_context(dispatcher).pid),
        "fake networks": psutil.Process(server.pid),
    }
    wait_until(lambda: answers(f"{url}/healthz") and answers(f"{networks}/api/v2/instance/"), 180)
    begun = time.perf_counter()
    cron = urllib.request.Request(f"{url}/timeline", headers={"Authorization": f"Bearer {token}"})
    urllib.request.urlopen(cron, timeout=60).close()
    wait_until(lambda: all(account.watermark is not None for account in accounts.all()), PATIENCE)
    seconds, posts = time.perf_counter() - begun, args.accounts * args.posts
    print(f"{args.accounts} accounts, {posts} posts in {seconds:.1f} s: {posts / seconds:.0f}/s")
    for name, one in running.items():
        print(f"{name}: {lab.largest(one):.0f} MB at most, {lab.cpu_of(one):.1f} s of CPU")
    if stored_posts(client) != world.expected(now):
        sys.exit("the store does not hold what the networks have")
    print("the store holds exactly the posts of the networks")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark, or serve its networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=800)
    parser.add_argument("--posts", type=int, default=100, help="of each account")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--now", type=datetime.fromisoformat, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        world, _ = make_world(args.accounts, args.posts, args.now)
        with serving_networks(world, lambda: args.now, args.serve):
            sys.stdin.read()
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        measure(args, folder, stack)


if __name__ == "__main__":
    main()
