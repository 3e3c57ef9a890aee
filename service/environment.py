"""Settings of a service from environment variables, read once and passed on.

    class Settings(EnvironmentSettings):
        model_config = SettingsConfigDict(env_prefix="LAUNCHER_")
        store: str = Field("", validation_alias="DFPIPE_STORE")  # without the prefix
        slot: Duration = timedelta(hours=5)                      # LAUNCHER_SLOT=5h
        webhook: WebUrl = Field("", repr=False)                  # a secret

    settings = read_environment(Settings, os.environ, renamed={"LAUNCHER_TIME": "LAUNCHER_SLOT"})

An empty variable counts as unset. A field with `repr=False` is a secret: errors do not show its
value, and NAME_FILE may name a file that holds it. Settings are made by name in tests
(`Settings(store="sqlite:///a.db")`), which does not look at the environment.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.errors import UsageError
from service.fields import problem

_logger = logging.getLogger(__name__)


class EnvironmentSettings(BaseSettings):
    """Settings that `read_environment` reads; they cannot be changed."""

    model_config = SettingsConfigDict(
        frozen=True,
        populate_by_name=True,
        validate_default=False,
        enable_decoding=False,
        defer_build=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: object,
        **named: object,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the constructor is given and nothing else."""
        return (init_settings,)

    def changed(self, **fields: object) -> Self:
        """A copy with other values, which are not checked."""
        return self.model_copy(update=fields)


Settings = TypeVar("Settings", bound=EnvironmentSettings)


def read_environment(
    model: type[Settings], environment: Mapping[str, str], renamed: Mapping[str, str] | None = None
) -> Settings:
    """The settings in an environment. Raises UsageError, which names the variable.

    `renamed` maps old names of variables to the new ones: they keep working, with a warning.
    """
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    given |= _by_old_names(given, renamed or {})
    for field, info in model.model_fields.items():
        if not info.repr:
            given |= _from_file(given, variable_of(model, field))
    source = EnvSettingsSource(model)
    # In place of os.environ, which the library has read; it looks for names in lower case.
    source.env_vars = {name.lower(): value for name, value in given.items()}
    try:
        return model(**source())
    except ValidationError as error:
        raise _refusal(model, error) from error


def variable_of(model: type[EnvironmentSettings], field: str) -> str:
    """The name of the variable of a field."""
    alias = model.model_fields[field].validation_alias
    return str(alias or f"{model.model_config.get('env_prefix', '')}{field}".upper())


def _by_old_names(given: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for old, new in renamed.items():
        if old not in given:
            continue
        if new in given:
            raise UsageError(f"{old} and {new} are both set: {old} is an old name, unset it")
        _logger.warning("%s is an old name: set %s instead", old, new)
        found[new] = given[old]
    return found


def _from_file(given: Mapping[str, str], name: str) -> dict[str, str]:
    """The content of the file that NAME_FILE names, without the line's end."""
    file = given.get(f"{name}_FILE")
    if file is None:
        return {}
    if name in given:
        raise UsageError(f"{name} and {name}_FILE are both set: set one of them")
    try:
        return {name: Path(file).read_text(encoding="utf-8").strip()}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{name}_FILE is {file!r}, which cannot be read: {reason}") from error


def _refusal(model: type[EnvironmentSettings], error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    if not first["loc"]:  # of a validator of the whole model, whose message names the variables
        return UsageError(str(first["ctx"]["error"]))
    at = str(first["loc"][0])
    fields = {variable_of(model, field): field for field in model.model_fields}
    name = at if at in fields else variable_of(model, at)
    is_secret = not model.model_fields[fields[name]].repr
    return UsageError(f"{name} is {problem(first, is_secret=is_secret)}")
