"""Workflows of stages that are functions and generators: the Pipeline API."""

from typing import TYPE_CHECKING

from service.on_demand import on_demand

__all__ = [
    "Abort",
    "After",
    "Engine",
    "Error",
    "InOrder",
    "Pipeline",
    "PipelineExistsError",
    "PipelineFuture",
    "PipelineRuntimeError",
    "PipelineSetupError",
    "PipelineStatusError",
    "PipelineUserError",
    "Retry",
    "Slot",
    "SlotNotDeclaredError",
    "SlotNotFilledError",
    "UnexpectedPipelineError",
    "UsageError",
    "bind",
    "create_handlers_map",
    "get_pipeline_names",
    "get_root_list",
    "get_status_tree",
    "set_enforce_auth",
]

# Where the names are, the light modules first.
_MODULES = (
    "testing errors ordering slots pipeline binding engine.engine web.old_names web.status".split()
)

if TYPE_CHECKING:
    from workflow.binding import bind
    from workflow.engine.engine import Engine
    from workflow.errors import (
        Abort,
        Error,
        PipelineExistsError,
        PipelineRuntimeError,
        PipelineSetupError,
        PipelineStatusError,
        PipelineUserError,
        Retry,
        SlotNotDeclaredError,
        SlotNotFilledError,
        UnexpectedPipelineError,
        UsageError,
    )
    from workflow.ordering import After, InOrder
    from workflow.pipeline import Pipeline
    from workflow.slots import PipelineFuture, Slot
    from workflow.web.old_names import create_handlers_map, set_enforce_auth
    from workflow.web.status import get_pipeline_names, get_root_list, get_status_tree
else:
    __getattr__ = on_demand(__name__, __all__, _MODULES)
