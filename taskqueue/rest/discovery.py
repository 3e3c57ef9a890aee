"""The discovery document, from which Google's API clients build their methods.

service = googleapiclient.discovery.build(
"taskqueue", "v1beta2", discoveryServiceUrl=f"{host}{DISCOVERY_PATH}", static_discovery=False
)
service.tasks().lease(project=..., taskqueue=..., leaseSecs=30, numTasks=1).execute()
"""

from typing import Any

DISCOVERY_PATH = "/discovery/v1/apis/taskqueue/v1beta2/rest"
SERVICE_PATH = "taskqueue/v1beta2/projects/"
_SCOPE = "https://www.googleapis.com/auth/taskqueue"
_SCOPES = {
    _SCOPE: {"description": "Manage tasks and queues"},
    f"{_SCOPE}.consumer": {"description": "Consume tasks"},
}

Json = dict[str, Any]


def _parameter(kind: str, description: str, **more: object) -> Json:
    return {"type": kind, "location": "query", "description": description, **more}


def _in_path(description: str) -> Json:
    return {"type": "string", "location": "path", "required": True, "description": description}


_PATH = {
    "project": _in_path("The project of the queue."),
    "taskqueue": _in_path("The name of the queue."),
    "task": _in_path("The name of the task."),
}
_INT32 = {"format": "int32"}
_LEASE_SECS = _parameter("integer", "Seconds for which to lease.", required=True, **_INT32)
_NEW_LEASE = _parameter(
    "integer", "Seconds from now at which the lease ends.", required=True, **_INT32
)
_GET_STATS = _parameter("boolean", "Whether to count the tasks.")
_LEASE = {
    "leaseSecs": _LEASE_SECS,
    "numTasks": _parameter("integer", "The most tasks to lease.", required=True, **_INT32),
    "groupByTag": _parameter("boolean", "Whether to lease tasks of one tag only."),
    "tag": _parameter("string", "That tag; without it, the tag of the oldest task."),
}


def _method(
    name: str,
    verb: str,
    path: str = "",
    query: Json | None = None,
    *,
    takes: str | None = None,
    gives: str | None = None,
) -> Json:
    full = "{project}/taskqueues/{taskqueue}" + path
    query = query or {}
    names = [name for name in _PATH if f"{{{name}}}" in full]
    method = {
        "id": f"taskqueue.{name}",
        "httpMethod": verb,
        "path": full,
        "flatPath": full,
        "parameters": {name: _PATH[name] for name in names} | query,
        "parameterOrder": names + [name for name in query if query[name].get("required")],
        "scopes": list(_SCOPES),
    }
    return (
        method
        | ({"request": {"$ref": takes}} if takes else {})
        | ({"response": {"$ref": gives}} if gives else {})
    )


_ONE = "/tasks/{task}"
_NEW = {"newLeaseSeconds": _NEW_LEASE}
_TASKS = {
    "get": _method("tasks.get", "GET", _ONE, gives="Task"),
    "list": _method("tasks.list", "GET", "/tasks", gives="Tasks2"),
    "insert": _method("tasks.insert", "POST", "/tasks", takes="Task", gives="Task"),
    "lease": _method("tasks.lease", "POST", "/tasks/lease", _LEASE, gives="Tasks"),
    "patch": _method("tasks.patch", "PATCH", _ONE, _NEW, takes="Task", gives="Task"),
    "update": _method("tasks.update", "POST", _ONE, _NEW, takes="Task", gives="Task"),
    "delete": _method("tasks.delete", "DELETE", _ONE),
}
_QUEUES = {
    "get": _method("taskqueues.get", "GET", query={"getStats": _GET_STATS}, gives="TaskQueue")
}


def _schema(name: str, **properties: Json) -> Json:
    return {"id": name, "type": "object", "properties": properties}


_TEXT: Json = {"type": "string"}
_INT64: Json = {"type": "string", "format": "int64"}
_INTEGER: Json = {"type": "integer", "format": "int32"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _tasks(name: str) -> Json:
    return _schema(name, kind=_TEXT, items=_list({"$ref": "Task"}))


_SCHEMAS = {
    "Task": _schema(
        "Task",
        kind=_TEXT,
        id=_TEXT,
        queueName=_TEXT,
        payloadBase64=_TEXT,
        tag=_TEXT,
        enqueueTimestamp=_INT64,
        leaseTimestamp=_INT64,
        retry_count=_INTEGER,
    ),
    "Tasks": _tasks("Tasks"),
    "Tasks2": _tasks("Tasks2"),
    "TaskQueue": _schema(
        "TaskQueue",
        kind=_TEXT,
        id=_TEXT,
        maxLeases=_INTEGER,
        acl={
            "type": "object",
            "properties": {
                name: _list(_TEXT) for name in ("adminEmails", "consumerEmails", "producerEmails")
            },
        },
        stats={
            "type": "object",
            "properties": {
                "totalTasks": _INTEGER,
                "oldestTask": _INT64,
                "leasedLastMinute": _INT64,
                "leasedLastHour": _INT64,
            },
        },
    ),
}


def discovery_document(root: str) -> Json:
    """The document of an API below a root URL, which ends with a slash."""
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "taskqueue:v1beta2",
        "name": "taskqueue",
        "version": "v1beta2",
        "title": "Task queues",
        "description": "Leases and manages the tasks of pull queues.",
        "protocol": "rest",
        "rootUrl": root,
        "servicePath": SERVICE_PATH,
        "baseUrl": root + SERVICE_PATH,
        "basePath": f"/{SERVICE_PATH}",
        "batchPath": "batch",
        "parameters": {
            "fields": _parameter("string", "The fields to include in the answer."),
            "prettyPrint": _parameter("boolean", "Is ignored."),
            "alt": _parameter("string", "Only json.", default="json", enum=["json"]),
        },
        "auth": {"oauth2": {"scopes": _SCOPES}},
        "schemas": _SCHEMAS,
        "resources": {"tasks": {"methods": _TASKS}, "taskqueues": {"methods": _QUEUES}},
    }
