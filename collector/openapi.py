"""The description of the service in OpenAPI 3.1, which it serves as /openapi.json."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from collector.bodies import ANSWERS, ErrorBody, FetchForm, PostBody, PurgeForm, Taken
from collector.fetching.scheduling import Counts
from collector.ingest.intake import MOST_BODY, MOST_POSTS
from dfpipe.version import VERSION

Json = dict[str, Any]

_ADAPTERS: list[tuple[object, Any, TypeAdapter[object]]] = [
    (answer, "serialization", TypeAdapter(answer)) for answer in ANSWERS
]
_NAMES, _DEFINED = TypeAdapter.json_schemas(_ADAPTERS, ref_template="#/components/schemas/{model}")
TAKEN, ERROR, COUNTS = (_NAMES[answer, "serialization"] for answer in (Taken, ErrorBody, Counts))
POST = PostBody.model_json_schema()


def _answer(text: str, schema: Json | None = None, mimetype: str = "application/json") -> Json:
    return {"description": text} | ({"content": {mimetype: {"schema": schema}}} if schema else {})


_FORBIDDEN = {"403": _answer("Neither cron nor a task queue; the body is empty.")}
_STORE = {"503": _answer("The store cannot answer now; the same request may succeed later.", ERROR)}
_DONE = _answer("What was done.", {"type": "object"})


def _form(model: type[BaseModel]) -> Json:
    content = {"application/x-www-form-urlencoded": {"schema": model.model_json_schema()}}
    return {"required": True, "content": content}


PATHS: Json = {
    "/ingest": {
        "post": {
            "operationId": "ingest",
            "summary": f"Take one post, up to {MOST_POSTS} in a list, or one on each line.",
            "security": [{"ingestToken": []}],
            "requestBody": {
                "required": True,
                "description": f"At most {MOST_BODY:,} bytes.",
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [
                                POST,
                                {"type": "array", "items": POST, "maxItems": MOST_POSTS},
                            ]
                        }
                    },
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            },
            "responses": {
                "202": _answer("So many posts are on the queue; the others are refused.", TAKEN),
                "400": _answer("The body is not JSON.", ERROR),
                "401": _answer("There is no token.", ERROR),
                "403": _answer("The token is not known.", ERROR),
                "413": _answer("The body is too large, or has too many posts.", ERROR),
                "429": _answer("Too many posts wait; Retry-After says how long to wait.", ERROR),
                **_STORE,
            },
        }
    },
    "/timeline": {
        "get": {
            "operationId": "timeline",
            "summary": "Cron: add a task for each active account, once for each slot.",
            "security": [{"platform": []}],
            "responses": {"200": _answer("The numbers of tasks.", COUNTS), **_FORBIDDEN, **_STORE},
        }
    },
    "/purge": {
        "get": {
            "operationId": "purge",
            "summary": "Cron: add the task that removes old posts, once for each day.",
            "security": [{"platform": []}],
            "responses": {"200": _DONE, **_FORBIDDEN, **_STORE},
        }
    },
    "/tasks/timeline": {
        "post": {
            "operationId": "fetchAccount",
            "summary": "Task: fetch what is new of one account.",
            "security": [{"platform": []}],
            "requestBody": _form(FetchForm),
            "responses": {
                "200": _DONE,
                "400": _answer("The form is wrong.", ERROR),
                "413": _answer("The form is too large.", ERROR),
                "502": _answer("The source cannot be reached; the queue tries again.", ERROR),
                **_FORBIDDEN,
                **_STORE,
            },
        }
    },
    "/tasks/purge": {
        "post": {
            "operationId": "purgePosts",
            "summary": "Task: remove old posts.",
            "security": [{"platform": []}],
            "requestBody": _form(PurgeForm),
            "responses": {
                "200": _DONE,
                "400": _answer("The form is wrong.", ERROR),
                "413": _answer("The form is too large.", ERROR),
                **_FORBIDDEN,
                **_STORE,
            },
        }
    },
    "/healthz": {
        "get": {
            "operationId": "healthz",
            "summary": "Whether the service and its store answer.",
            "responses": {"200": _DONE, **_STORE},
        }
    },
    "/status": {
        "get": {
            "operationId": "status",
            "summary": "The accounts, queues and dead letters; JSON where Accept asks for it.",
            "responses": {
                "200": {
                    "description": "The state.",
                    "content": {
                        "application/json": {"schema": {"type": "object"}},
                        "text/html": {"schema": {"type": "string"}},
                    },
                },
                **_STORE,
            },
        }
    },
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Metrics for Prometheus.",
            "responses": {
                "200": _answer("The metrics.", {"type": "string"}, "text/plain"),
                **_STORE,
            },
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "openapi",
            "summary": "This description.",
            "responses": {"200": _answer("The description.", {"type": "object"})},
        }
    },
}

DESCRIPTION: Json = {
    "openapi": "3.1.0",
    "info": {
        "title": "collector",
        "version": VERSION,
        "summary": "Brings timelines in and takes posts that others push.",
    },
    "paths": PATHS,
    "components": {
        "schemas": _DEFINED["$defs"],
        "securitySchemes": {
            "ingestToken": {"type": "http", "scheme": "bearer"},
            "platform": {
                "type": "http",
                "scheme": "bearer",
                "description": "The token of cron and task queue, shared or OIDC; on App Engine "
                "its own headers.",
            },
        },
    },
}
