"""Types of fields for pydantic models of settings, YAML files and request bodies.

    class Limits(Section):
        keep: Duration = timedelta(days=30)
        target: WebUrl = ""

`problem` words what pydantic refuses; service.environment and service.yaml_file use it.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from service.times import parse_duration, parse_time

# By the types of pydantic's errors, where its words are not those of our users.
_EXPECTED = {
    "bool_parsing": "true or false",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_parsing": "a whole number",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "a text",
    "tuple_type": "a list",
}


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _time(value: object) -> object:
    return parse_time(value) if isinstance(value, str) else value


def _words(value: object) -> object:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _places(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = {}
    for entry in value.split(","):
        name, _, address = map(str.strip, entry.partition("="))
        if not (name and (address.startswith("/") or _web_url(address))):
            raise ValueError(f"{entry[:80]!r}: expected NAME=ADDRESS, such as Jobs=/jobs")
        found[name] = address
    return found


def _web_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
    except ValueError:
        is_web = False
    if text and not is_web:
        raise ValueError(f"{text[:80]!r}: expected a URL of the form https://HOST")
    return text.rstrip("/")


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Time = Annotated[datetime, BeforeValidator(_time)]
# Addresses of pages by their names: NAME=ADDRESS, separated by commas.
Places = Annotated[Mapping[str, str], BeforeValidator(_places)]
# Several words, separated by commas or spaces.
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
# An http(s) address without credentials or a slash at its end; empty for none.
WebUrl = Annotated[str, AfterValidator(_web_url)]


class Section(BaseModel):
    """A mapping with known fields alone; it cannot be changed once it is read."""

    model_config = ConfigDict(
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        defer_build=True,  # most processes read one file and need few models
    )

    @model_validator(mode="before")
    @classmethod
    def _knows_its_fields(cls, values: object) -> Any:
        """Refuse other fields with a list of those that there are, which pydantic leaves out."""
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in values if isinstance(values, Mapping) else ():
            if name not in known and name not in cls.model_fields:
                raise PydanticCustomError(
                    "unknown_field",
                    "unknown field; expected {allowed}",
                    {"field": name, "allowed": ", ".join(known)},
                )
        return values

    def changed(self, **fields: object) -> Self:
        """A copy with other values, which are not checked."""
        return self.model_copy(update=fields)


def refusal(path: tuple[int | str, ...], reason: str) -> ValidationError:
    """What the validator of a whole model raises about one of its fields.

    `path` leads to the field from the model, `reason` is the message: `problem` adds nothing to it.
    """
    error = PydanticCustomError("refused", "{reason}", {"reason": reason})
    return ValidationError.from_exception_data(
        "refused", [InitErrorDetails(type=error, loc=path, input=None)]
    )


def where(error: ErrorDetails) -> tuple[int | str, ...]:
    """The path of field names and positions to what was refused."""
    field = error.get("ctx", {}).get("field")
    return (*error["loc"], field) if error["type"] == "unknown_field" and field else error["loc"]


def problem(error: ErrorDetails, *, is_secret: bool = False) -> str:
    """What was given and what was expected, without the name of the field.

    >>> problem({"type": "int_parsing", "loc": ("a",), "msg": "Input should be ...", "input": "b"})
    "'b': expected a whole number"
    """
    kind, given = error["type"], f"{error['input']!s:.40}"
    if kind == "missing":
        return "missing; it is required"
    if kind in ("unknown_field", "refused"):
        return error["msg"]
    if kind == "value_error":  # of a validator of our own, whose message may be whole
        reason = str(error["ctx"]["error"])
        whole = re.match(r"'.*?': expected ", reason)
        return reason if whole and not is_secret else f"{_shown(given, is_secret)}: {reason}"
    expected = _EXPECTED.get(kind) or re.sub(r"^\w+ should (be |have )?", "", error["msg"])
    return f"{_shown(given, is_secret)}: expected {expected.format(**error.get('ctx', {}))}"


def _shown(given: str, is_secret: bool) -> str:
    return "a value that is not shown" if is_secret else repr(given)
