"""The exceptions of the Pipeline API, under their old names."""


class Error(Exception):
    """Any error of this package."""

    exit_status = 1


class PipelineSetupError(Error):
    """A workflow could not be started or cleaned up; the cause is in the message."""


class PipelineExistsError(PipelineSetupError):
    """A workflow with that idempotence key was started before."""


class PipelineRuntimeError(Error):
    """A stage did something that a running stage must not do."""


class SlotNotFilledError(PipelineRuntimeError):
    """An output was read, or was to be there, that has no value."""


class SlotNotDeclaredError(PipelineRuntimeError):
    """An output was named that the stage does not have."""


class UnexpectedPipelineError(PipelineRuntimeError):
    """A method was called, or something was yielded, where it makes no sense."""


class PipelineUserError(Error):
    """What a stage raises to say what is to become of it."""


class Retry(PipelineUserError):  # noqa: N818  # the old name
    """Raised by a stage: try it again, for the reason given."""


class Abort(PipelineUserError):  # noqa: N818  # the old name
    """Raised by a stage: abort the whole workflow, for the reason given."""


class PipelineStatusError(Error):
    """There is no status to tell; the message says why."""


class UnknownPipelineError(PipelineStatusError):
    """There is no stage of that id, or none any more."""


class BadTaskError(Error):
    """A task has values that its handler does not take."""


class StageExitError(Error):
    """A stage tried to end its process, which others use too."""


class UsageError(Error):
    """Something was given that cannot be used; the message says what to give."""

    exit_status = 2
