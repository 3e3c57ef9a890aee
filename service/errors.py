"""Errors that the command line of a service reports in one line."""


class ServiceError(Exception):
    """A failure that the operator can fix: the message says what was given and what to do next."""

    exit_status = 1


class UsageError(ServiceError):
    """An option, an environment variable or a file has a value that cannot be used."""

    exit_status = 2
