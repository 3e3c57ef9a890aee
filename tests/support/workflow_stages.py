"""The stages that the old guide explains the Pipeline API with, as they are written today."""

import logging
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import taskqueue
from workflow import After, InOrder, Pipeline, Retry
from workflow.mail import SmtpServer

Yields = Iterator[Pipeline]


class AddOne(Pipeline):
    def run(self, number: int) -> int:
        return number + 1


class AddTwo(Pipeline):
    def run(self, number: int) -> Any:
        result = yield AddOne(number)
        yield AddOne(result)


class LogMessage(Pipeline):
    def run(self, message: str, *args: Any) -> None:
        text = message % args if args else message
        logging.info(text)
        # One write, so that the lines of several processes do not mix.
        if "STAGES_LOG" in os.environ:
            with Path(os.environ["STAGES_LOG"]).open("a") as log:
                log.write(f"{text}\n")


class AddTwoAndLog(Pipeline):
    def run(self, number: int) -> Any:
        result = yield AddOne(number)
        final_result = yield AddOne(result)
        yield LogMessage("The value is: %d", final_result)


class DivideWithRemainder(Pipeline):
    output_names = ["remainder"]

    def run(self, dividend: int, divisor: int) -> int:
        self.fill(self.outputs.remainder, dividend % divisor)
        return dividend // divisor


class EuclidGCD(Pipeline):
    output_names = ["gcd"]

    def run(self, a: int, b: int) -> Any:
        a, b = max(a, b), min(a, b)
        if b == 0:
            self.fill(self.outputs.gcd, a)
            return
        result = yield DivideWithRemainder(a, b)
        yield EuclidGCD(b, result.remainder)


class MultiplyAndEmail(Pipeline):
    def run(self, a: int, b: int) -> int:
        return a * b

    def finalized(self) -> None:
        send = SmtpServer(os.environ["STAGES_SMTP"], "anna@example.com")
        subject = f"Result of pipeline ID {self.pipeline_id}"
        a, b = self.args
        send("pipelines@example.com", subject, f"{a} * {b} = {self.outputs.default.value}", "")


class Delay(Pipeline):
    async_ = True

    def run(self, seconds: float) -> None:
        task = self.get_callback_task(name=f"delay-{self.pipeline_id}", countdown=seconds)
        with suppress(taskqueue.TombstonedTaskError, taskqueue.TaskAlreadyExistsError):
            task.add(self.queue_name)

    def run_test(self, seconds: float) -> None:
        self.complete(seconds)

    def callback(self) -> None:
        self.complete(self.kwargs["seconds"])


class LogWaitLogAfter(Pipeline):
    def run(self, message1: str, message2: str, delay: float) -> Any:
        first = yield LogMessage(message1)
        with After(first):
            waited = yield Delay(seconds=delay)
            with After(waited):
                yield LogMessage(message2)
            yield LogMessage("This would happen after the first message")
        yield LogMessage("This would happen immediately on run")


class LogWaitLogInOrder(Pipeline):
    def run(self, message1: str, message2: str, delay: float) -> Any:
        with InOrder():
            yield LogMessage(message1)
            yield Delay(seconds=delay)
            yield LogMessage(message2)
        yield LogMessage("This would happen immediately on run")


class WordCountUrl(Pipeline):
    def run(self, url: str) -> int:
        with urllib.request.urlopen(url, timeout=30) as response:
            return len(response.read().split())


class Sum(Pipeline):
    def run(self, *values: int) -> int:
        return sum(values)


class MySearchEnginePipeline(Pipeline):
    def run(self, *urls: str) -> Any:
        results = []
        for url in urls:
            results.append((yield WordCountUrl(url)))
        yield Sum(*results)


# Stages of the tests that the guide does not have


class Many(Pipeline):
    """The sum of 0 up to a number, by a stage for each."""

    def run(self, number: int) -> Any:
        results = []
        for each in range(number):
            results.append((yield AddOne(each)))
        yield Sum(*results)


class Deep(Pipeline):
    """Counts down by recursion."""

    def run(self, number: int) -> Any:
        if number == 0:
            return 0
        rest = yield Deep(number - 1)
        yield AddOne(rest)


class Tail(Pipeline):
    """Counts up by the recursion of the stage that is yielded last."""

    def run(self, number: int, total: int = 0) -> Any:
        if number == 0:
            return total
        yield Tail(number - 1, total + 1)


class Fails(Pipeline):
    def run(self) -> None:
        raise ValueError("it is broken")


class FailsAt(Pipeline):
    """One of many stages, the one of that number, fails."""

    def run(self, width: int, broken: int) -> Any:
        for number in range(width):
            stage = Fails() if number == broken else AddOne(number)
            yield stage.with_params(max_attempts=1)


class Waits(Pipeline):
    """Is completed by nobody."""

    async_ = True

    def run(self) -> None:
        self.set_status("waits for a call")


class Picky(Pipeline):
    """Looks at its argument when it is made."""

    def __init__(self, number: int) -> None:
        if not isinstance(number, int):
            raise ValueError(f"{number!r} is no number")
        super().__init__(number)

    def run(self, number: int) -> int:
        return number


class AtSecond(Pipeline):
    """Gives its argument at the second attempt."""

    def run(self, number: int) -> int:
        if self.current_attempt == 1:
            raise Retry("not yet")
        return number


class LeavesOne(Pipeline):
    """Does not wait for the first of its stages."""

    def run(self) -> Any:
        yield AtSecond(1).with_params(backoff_seconds=1)
        yield AddOne(1)


class LeavesBelow(Pipeline):
    """Is over before the stages below are."""

    def run(self) -> Any:
        yield LeavesOne()


class Kills(Pipeline):
    """Ends its process, as a lack of memory would, and leaves a line for each time."""

    def run(self, log: str) -> None:
        with Path(log).open("a") as lines:
            lines.write("killed\n")
        os.kill(os.getpid(), signal.SIGKILL)


class KillsAtTheEnd(Pipeline):
    def run(self, log: str) -> str:
        return log

    def finalized(self) -> None:
        Kills.run(self, self.outputs.default.value)  # type: ignore[arg-type]


class Slow(Pipeline):
    """Takes long enough to be in the same process as a stage that ends it."""

    def run(self, seconds: float) -> int:
        time.sleep(seconds)
        return self.current_attempt
