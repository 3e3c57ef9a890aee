"""/api/openapi.json: the routes below /api in OpenAPI 3.1, made from the application itself."""

import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify
from werkzeug.routing import Rule

from dfpipe.version import VERSION
from dfpipe.warehouse import named_queries
from dfpipe.warehouse.named_queries import NamedQuery
from service.access import viewers_or_proven
from service.sessions import COOKIE

Json = dict[str, Any]
TYPES: dict[str, Json] = {
    "STRING": {"type": "string"},
    "INT64": {"type": "integer", "minimum": 0},
    "TIMESTAMP": {"type": "string", "format": "date-time"},
}
FORM = {"type": "string", "enum": ["json", "csv"]}
ERRORS = {
    "400": "The request cannot be used; `error` says why.",
    "403": "The request has neither a session nor proof; the body is empty.",
    "404": "There is nothing of that name.",
    "503": "The store or the warehouse cannot answer now; try again.",
}
_VARIABLE = re.compile(r"<(\w+)>")


def install(pages: Blueprint) -> None:
    """Add the route."""
    pages.add_url_rule("/api/openapi.json", "openapi", viewers_or_proven(_openapi))


def _openapi() -> Response:
    """The description of these routes."""
    return jsonify(describe(current_app))


def describe(app: Flask) -> Json:
    """Return the description of an application's routes below /api."""
    paths: Json = {}
    for rule in app.url_map.iter_rules():
        is_ours = rule.rule.startswith("/api/") and "moved " not in rule.endpoint
        if is_ours and rule.endpoint != "pages.answer":  # each query is a path of its own
            view = app.view_functions[rule.endpoint]
            found = paths.setdefault(_VARIABLE.sub(r"{\1}", rule.rule), {})
            found.update(_operations(rule, (view.__doc__ or "").partition("\n")[0]))
    for name in named_queries.names():
        paths[f"/api/queries/{name}.{{form}}"] = {"get": _query(named_queries.load(name))}
    return {
        "openapi": "3.1.0",
        "info": {"title": "dfpipe launcher", "version": VERSION},
        "paths": dict(sorted(paths.items())),
        "security": [{"session": []}, {"token": []}],
        "components": {
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
                "token": {"type": "http", "scheme": "bearer"},
            }
        },
    }


def _operations(rule: Rule, summary: str) -> Iterator[tuple[str, Json]]:
    for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
        operation = f"{rule.endpoint.removeprefix('pages.')}_{method.lower()}"
        yield method.lower(), _operation(operation, summary, list(map(_path, _names(rule))))


def _names(rule: Rule) -> list[str]:
    return _VARIABLE.findall(rule.rule)


def _path(name: str) -> Json:
    schema = FORM if name == "form" else {"type": "string"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(query: NamedQuery) -> Json:
    given = [
        {
            "name": each.name,
            "in": "query",
            "required": each.default is None,
            "description": each.answers,
            "schema": TYPES[each.kind],
        }
        for each in query.parameters
    ]
    limit = {"name": "limit", "in": "query", "schema": TYPES["INT64"], "description": "most rows"}
    return _operation(f"query_{query.name}", query.answers, [_path("form"), *given, limit])


def _operation(name: str, summary: str, parameters: list[Json]) -> Json:
    errors = {code: {"description": text} for code, text in ERRORS.items()}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {"2XX": {"description": "The answer."}, **errors},
    }
