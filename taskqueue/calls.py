"""What the `_async` methods return."""

from collections.abc import Callable
from typing import Any

from taskqueue.errors import InvalidDeadlineError


def check_deadline(deadline: float | None) -> None:
    """Check a deadline in seconds. Raises TypeError or, unless above 0, InvalidDeadlineError."""
    if deadline is None:
        return
    if not isinstance(deadline, int | float):
        raise TypeError(f"the deadline is {deadline!r}: give a number of seconds")
    if not deadline > 0:
        raise InvalidDeadlineError(f"the deadline is {deadline} seconds: give more than 0")


class Call:
    """A call whose result is asked for later, with the methods of the old service's RPC object.

    The call is made at once, in the caller's thread: the stores are near, and what old code wins by
    overlapping calls it wins here by handing many tasks to one call.
    """

    def __init__(self, callback: Callable[[], object] | None = None) -> None:
        self._callback = callback
        self._result: Any = None
        self._error: Exception | None = None
        self.done = False

    def make(self, function: Callable[[], object]) -> "Call":
        """Make the call and keep its result or its error."""
        try:
            self._result = function()
        except Exception as error:  # whatever it is, get_result raises it
            self._error = error
        self.done = True
        return self

    def wait(self) -> None:
        """Wait for the call to end; the first time, run the callback."""
        callback, self._callback = self._callback, None
        if callback:
            callback()

    def check_success(self) -> None:
        """Wait for the call, and raise the error that it raised."""
        self.wait()
        if self._error:
            raise self._error

    def get_result(self) -> Any:
        """The call's result, or raise what it raised."""
        self.check_success()
        return self._result


def make_call(rpc: Call | None, function: Callable[[], object]) -> Call:
    """Make a call with the object that `create_rpc` returned, or else with a new one."""
    if rpc is not None and not isinstance(rpc, Call):
        raise TypeError(f"rpc is {rpc!r:.60}: give what create_rpc returned")
    return (rpc or Call()).make(function)


def create_rpc(deadline: float | None = None, callback: Callable[[], object] | None = None) -> Call:
    """Make an object that can be handed to an `_async` method as `rpc`.

    The callback is called without arguments when the result is asked for. Raises TypeError or
    InvalidDeadlineError.
    """
    check_deadline(deadline)
    return Call(callback)
