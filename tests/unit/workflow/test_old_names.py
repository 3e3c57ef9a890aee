"""Names that documents and old code import are where they were."""

import importlib

import pytest

NAMES = {
    "workflow": [
        *("Pipeline", "After", "InOrder", "Retry", "Abort", "Slot", "PipelineFuture"),
        *("get_status_tree", "get_root_list", "get_pipeline_names", "bind", "Engine"),
        *("create_handlers_map", "set_enforce_auth"),
    ],
    "workflow.common": ["Return", "Sum", "Delay", "EmailToContinue"],
    "workflow.mail": ["settings_from", "Mail", "SmtpServer"],
    "workflow.testing": ["run_root"],
    "workflow.engine": ["Engine", "LocalRunner", "reap"],
    "workflow.handlers": ["create_blueprint", "create_handlers_map"],
    "workflow.server": ["create_app"],
    "workflow.web.handlers": ["create_blueprint"],
    "workflow.web.server": ["create_app"],
}


@pytest.mark.parametrize("module", list(NAMES))
def test_names(module: str) -> None:
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []
