"""What can go wrong, as the user is told it."""


class DfpipeError(Exception):
    """A failure that the user can mend: its message says what was given and what to do next."""

    exit_status = 1


class NoResultsError(DfpipeError):
    """A warehouse to which no run was written yet, or none that has what was asked for."""


class UsageError(DfpipeError):
    """The command's words are wrong: an unknown name, a value of the wrong form."""

    exit_status = 2
