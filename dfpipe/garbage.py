"""How often Python searches for garbage."""

import gc


def collect_rarely() -> None:
    """Let Python search for garbage less often: the many small objects of posts hold none.

    With the usual thresholds that takes a tenth of the time of reading.
    """
    gc.freeze()
    gc.set_threshold(50_000)
