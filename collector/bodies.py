"""The bodies of requests and answers that /openapi.json describes, as pydantic models."""

from typing import Annotated

from pydantic import BaseModel, Field

from collector.fetching.scheduling import Counts
from collector.ingest.intake import MOST_POSTS, Refusal
from dfpipe.posts.formats.result import MAX_TID

Number = Annotated[int, Field(ge=0)]


class PostBody(BaseModel):
    """A post that is pushed; docs/reference/collector.md says how it is read."""

    tid: (
        Annotated[int, Field(ge=1, le=MAX_TID)]
        | Annotated[str, Field(pattern="^[0-9]{1,19}$", description="digits in a string")]
    )
    user: Annotated[str, Field(max_length=1500)] | None = None
    text: str
    created_at: str = Field(
        description="RFC 3339 with an offset, or a date as X's v1.1 writes it.",
        examples=["2026-01-07T12:00:00Z"],
    )
    urls: list[str] | str | None = Field(default=None, description="The expanded links.")


class Taken(BaseModel):
    """The answer to pushed posts: how many are on the queue, and why the others are refused."""

    taken: int = Field(ge=0, le=MOST_POSTS)
    errors: list[Refusal]


class ErrorBody(BaseModel):
    """The answer to a request that cannot be carried out."""

    error: str


class FetchForm(BaseModel):
    """The task that fetches an account."""

    account: str
    slot: Number
    chain: str
    number: Number


class PurgeForm(BaseModel):
    """The task that removes old posts."""

    day: str
    part: Number


ANSWERS = (Taken, ErrorBody, Counts)
