"""Workflows of stages that are functions and generators: the Pipeline API."""

import workflow.testing  # noqa: F401  # it enters test mode
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
