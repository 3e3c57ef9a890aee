"""How many push tasks a second one dispatcher process delivers to an empty handler.

The handler is a server of its own process that reads the request and answers 200, so that what is
measured is the dispatcher: claiming, sending and deleting. Two queues, each at the highest rate
that queue.yaml allows.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

# Not this folder, where a file has the package's name.
sys.path[0] = str(Path(__file__).parents[1])

from taskqueue import Queue, Task, TaskQueueService, parse_config  # noqa: E402  # after the path
from taskqueue.push.dispatcher import Dispatcher, DispatchSettings  # noqa: E402  # the same
from taskqueue.push.sending import Sender  # noqa: E402  # the same

QUEUES = "queue:\n" + "".join(
    f"- {{name: q{n}, rate: 500/s, bucket_size: 500, max_concurrent_requests: 500}}\n"
    for n in range(4)
)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read requests whose bodies have a known length, and answer each with an empty 200."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def serve(port: Any) -> None:
    """Serve on a free port, which is put into `port`."""

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=500)
        port.value = server.sockets[0].getsockname()[1]
        await server.serve_forever()

    asyncio.run(run())


def measure(tasks: int, threads: int) -> float:
    """Tasks delivered and deleted a second."""
    port = multiprocessing.Value("i", 0)
    handler = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    handler.start()
    while not port.value:
        time.sleep(0.01)
    with tempfile.TemporaryDirectory() as folder:
        service = TaskQueueService(f"sqlite:///{Path(folder)}/push.db", parse_config(QUEUES))
        for number in range(tasks // 100):
            batch = [Task(b"x" * 100, url="/work") for _ in range(100)]
            Queue(f"q{number % 4}", service=service).add(batch)
        send = Sender({"": f"http://127.0.0.1:{port.value}"}, lambda url: {}, connections=threads)
        dispatcher = Dispatcher(service, send, DispatchSettings(threads=threads))
        thread = threading.Thread(target=dispatcher.run)
        begin = time.perf_counter()
        thread.start()
        while any(service.store.next_due(f"q{n}") is not None for n in range(4)):
            time.sleep(0.05)
        seconds = time.perf_counter() - begin
        dispatcher.stop()
        thread.join()
    handler.terminate()
    return tasks / seconds


def main() -> None:
    """Measure three times and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=32)
    args = parser.parse_args()
    rates = sorted(measure(args.tasks, args.threads) for _ in range(3))
    print(f"push tasks a second, three runs of {args.tasks}: {[round(rate) for rate in rates]}")


if __name__ == "__main__":
    main()
