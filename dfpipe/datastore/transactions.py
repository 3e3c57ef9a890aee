"""Running a function in a transaction until it is not disturbed, with either client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dfpipe.datastore.protocol import Store

Result = TypeVar("Result")


def run_in_transaction(
    client: Store,
    function: Callable[[], Result],
    *,
    patience: float = 30.0,
    first_wait: float = 0.01,
    longest_wait: float = 1.0,
) -> Result:
    """Call the function within a transaction and commit; again, when others were quicker.

    The function may be called several times, so it must have no effect but through the client;
    `client.current_transaction` is the transaction, which get, query, put and delete join. Waits
    grow from `first_wait` to `longest_wait` seconds, each a random part of that; after `patience`
    seconds google.api_core.exceptions.RetryError tells of the last Aborted.
    """
    # Here and not above: they bring in gRPC, 0.3 s that no other use of this package shall pay.
    from google.api_core.exceptions import Aborted
    from google.api_core.retry import Retry, if_exception_type

    def attempt() -> Result:
        with client.transaction():
            return function()

    retry = Retry(
        predicate=if_exception_type(Aborted),
        initial=first_wait,
        maximum=longest_wait,
        multiplier=2.0,
        timeout=patience,
    )
    result: Result = retry(attempt)()
    return result


@contextmanager
def outside_transaction(client: Store) -> Iterator[None]:
    """Within it, what is read is the newest state, and no part of a transaction that is running.

    Writes need a batch or transaction of their own.
    """
    if client.current_transaction is None:
        yield
        return
    with client.batch() as batch:
        batch.rollback()  # nothing is to be committed at the end
        yield
