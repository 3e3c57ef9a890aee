"""The description of the routes below /api."""

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dfpipe.warehouse import named_queries
from tests.support.launcher_site import Site

VALUE = "2026-01-07T10:00:00Z"  # as good a word as it is a time
pytestmark = pytest.mark.usefixtures("unbound_launcher")


def test_it_is_valid_and_has_every_route(site: Site) -> None:
    found = site.get("/api/openapi.json").json
    OpenAPIV31SpecValidator(found).validate()
    rules = [
        re.sub(r"<(\w+)>", r"{\1}", rule.rule)
        for rule in site.client.application.url_map.iter_rules()
        if rule.rule.startswith("/api/") and "moved" not in rule.endpoint
    ]
    queries = {f"/api/queries/{name}.{{form}}" for name in named_queries.names()}
    assert {*rules} - {"/api/queries/{name}.{form}"} | queries == found["paths"].keys()
    assert {"get", "post"} == found["paths"]["/api/executions"].keys()


def test_what_it_describes_answers(site: Site) -> None:
    for path, operations in site.get("/api/openapi.json").json["paths"].items():
        if "get" not in operations or "execution_id" in path:
            continue
        given = {
            each["name"]: "1" if each["schema"]["type"] == "integer" else VALUE
            for each in operations["get"]["parameters"]
            if each["in"] == "query" and each.get("required")
        }
        answer = site.get(path.replace("{form}", "json"), query_string=given)
        assert answer.status_code == 200, path


def test_each_operation_says_what_it_does(site: Site) -> None:
    for path, operations in site.get("/api/openapi.json").json["paths"].items():
        assert all(each["summary"].endswith(".") for each in operations.values()), path
