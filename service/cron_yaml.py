"""cron.yaml: which URLs App Engine's cron calls, and when."""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from service.fields import Section
from service.schedules import Schedule, parse
from service.yaml_file import read_yaml


class CronEntry(Section):
    """An entry of cron.yaml. What only App Engine follows is accepted and left alone."""

    url: str = Field(pattern="^/")
    schedule: str
    target: str = ""
    timezone: str = "UTC"
    description: str = ""
    retry_parameters: dict[str, str] = Field(default_factory=dict)

    @field_validator("schedule")
    @classmethod
    def _can_be_followed(cls, text: str) -> str:
        parse(text)
        return text

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, text: str) -> str:
        try:
            ZoneInfo(text)
        except (ValueError, OSError, ZoneInfoNotFoundError) as error:
            raise ValueError("expected the name of a time zone, such as Europe/Berlin") from error
        return text

    @property
    def times(self) -> Schedule:
        """When App Engine calls the URL, in the entry's time zone."""
        return parse(self.schedule, ZoneInfo(self.timezone))


class CronFile(Section):
    """cron.yaml."""

    cron: tuple[CronEntry, ...] = ()


def read_cron(file: Path) -> tuple[CronEntry, ...]:
    """The entries of a cron.yaml. Raises UsageError, with the file, the line and the field."""
    return read_yaml(file, CronFile).cron
