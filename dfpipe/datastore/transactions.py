"""Running a function in a transaction, with retries; for either client."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dfpipe.datastore.protocol import Store

Result = TypeVar("Result")


def run_in_transaction(
    client: Store,
    function: Callable[[], Result],
    *,
    read_only: bool = False,
    patience: float = 30.0,
    first_wait: float = 0.01,
    longest_wait: float = 1.0,
) -> Result:
    """Call the function in a transaction and commit; retry if there is a conflict.

    The function may be called several times, so its only effects must be through the client.
    `client.current_transaction` is the transaction, which get, query, put and delete join. A
    `read_only` one reads a single state of the store, locks nothing and refuses writes. The
    wait between attempts is random and grows from `first_wait` to `longest_wait` seconds. After
    `patience` seconds google.api_core.exceptions.RetryError is raised, whose cause is Aborted.
    """
    # Not at the top: they import gRPC, which takes 0.3 s.
    from google.api_core.exceptions import Aborted
    from google.api_core.retry import Retry, if_exception_type

    def attempt() -> Result:
        with client.transaction(read_only=read_only):
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
    """Read the newest state in this block, outside the current transaction.

    Writes in the block need a batch or transaction of their own.
    """
    if client.current_transaction is None:
        yield
        return
    with client.batch() as batch:
        batch.rollback()  # nothing is to be committed at the end
        yield
