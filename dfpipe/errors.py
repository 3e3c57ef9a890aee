"""The errors that users see."""


class DfpipeError(Exception):
    """A failure that the user can fix: the message says what was given and what to do next."""

    exit_status = 1


class NoResultsError(DfpipeError):
    """A warehouse without the results that were asked for."""


class UsageError(DfpipeError):
    """Wrong arguments: an unknown name, a value of the wrong form."""

    exit_status = 2
