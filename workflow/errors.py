"""The exceptions of the Pipeline API, under their old names."""


class Error(Exception):
    """The base class of all errors of this package."""

    exit_status = 1


class PipelineSetupError(Error):
    """A workflow could not be started or cleaned up; the cause is in the message."""


class PipelineExistsError(PipelineSetupError):
    """A workflow with that idempotence key was started before."""


class PipelineRuntimeError(Error):
    """A stage did something that a running stage must not do."""


class SlotNotFilledError(PipelineRuntimeError):
    """An output that is needed has no value yet."""


class SlotNotDeclaredError(PipelineRuntimeError):
    """The stage has no output of that name."""


class UnexpectedPipelineError(PipelineRuntimeError):
    """A method was called, or something was yielded, where it makes no sense."""


class PipelineUserError(Error):
    """Base of what a stage raises to be retried or to abort its workflow."""


class Retry(PipelineUserError):  # noqa: N818  # the old name
    """Raised by a stage: try it again, for the reason given."""


class Abort(PipelineUserError):  # noqa: N818  # the old name
    """Raised by a stage: abort the whole workflow, for the reason given."""


class PipelineStatusError(Error):
    """The status cannot be shown; the message says why."""


class UnknownPipelineError(PipelineStatusError):
    """There is no stage with that id, or it was deleted."""


class BadTaskError(Error):
    """A task has values that its handler does not take."""


class StageExitError(Error):
    """A stage tried to end its process, which others use too."""


class UsageError(Error):
    """Something was given that cannot be used; the message says what to give."""

    exit_status = 2
