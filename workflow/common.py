"""Stages that many workflows need: values, lists, numbers, texts, waiting, asking a person."""

import html
import logging
import math
import re
import secrets
import typing as t
from contextlib import suppress
from hashlib import blake2b
from itertools import chain

import taskqueue
import workflow.testing  # noqa: F401  # it enters test mode, and the engine
from workflow.errors import Abort, UsageError
from workflow.mail import HEADERS, Mail
from workflow.pipeline import Pipeline, inside, mail_sender, record_of

Answer = tuple[int, str, str]
# What EmailToContinue takes besides the addresses.
_MAIL = (
    *("subject", "body", "html", "sender", "approve_html", "disapprove_html"),
    *("random_token", "secret_token"),
)
LATE = 60  # seconds after which the task of a Delay is taken to be lost
_TASK_NAME = re.compile(r"[A-Za-z0-9_-]{1,400}")


class Return(Pipeline):
    """Gives the value that it is given."""

    def run(self, value: t.Any = None) -> t.Any:
        return value


class Ignore(Pipeline):
    """Waits for all its arguments, and gives None."""

    def run(self, *values: t.Any) -> None:
        """Do nothing: its arguments are filled by now."""


class Dict(Pipeline):
    """Gives its keyword arguments as a dictionary."""

    def run(self, **items: t.Any) -> dict[str, t.Any]:
        return items


class List(Pipeline):
    """Gives its arguments as a list."""

    def run(self, *values: t.Any) -> list[t.Any]:
        return list(values)


class AbortIfTrue(Pipeline):
    """Aborts the workflow with the message if the value is true, and gives None otherwise."""

    def run(self, value: t.Any, message: str = "") -> None:
        if value:
            raise Abort(message)


class All(Pipeline):
    """Gives True if there are arguments and all of them are true."""

    def run(self, *values: t.Any) -> bool:
        return bool(values) and all(values)


class Any(Pipeline):
    """Gives True if at least one of the arguments is true."""

    def run(self, *values: t.Any) -> bool:
        return any(values)


class Complement(Pipeline):
    """Gives True if the argument is false; a list of such values for several arguments."""

    def run(self, *values: t.Any) -> bool | list[bool]:
        found = [not value for value in values]
        return found[0] if len(found) == 1 else found


class _Numbers(Pipeline):
    """A stage that needs at least one argument."""

    def __init__(self, *values: t.Any) -> None:
        if not values:
            raise TypeError(f"{type(self).__name__} takes at least one argument, none was given")
        super().__init__(*values)


class Max(_Numbers):
    """Gives the greatest of its arguments."""

    def run(self, *values: t.Any) -> t.Any:
        return max(values)


class Min(_Numbers):
    """Gives the least of its arguments."""

    def run(self, *values: t.Any) -> t.Any:
        return min(values)


class Sum(_Numbers):
    """Gives the sum of its arguments."""

    def run(self, *values: t.Any) -> t.Any:
        return sum(values)


class Multiply(_Numbers):
    """Gives the product of its arguments."""

    def run(self, *values: t.Any) -> t.Any:
        return math.prod(values)


class Negate(_Numbers):
    """Gives the negative of the argument; a list of them for several arguments."""

    def run(self, *values: t.Any) -> t.Any:
        found = [-value for value in values]
        return found[0] if len(found) == 1 else found


class Extend(Pipeline):
    """Gives the items of all its lists as one list."""

    def run(self, *lists: list[t.Any]) -> list[t.Any]:
        return list(chain.from_iterable(lists))


class Append(Pipeline):
    """Gives its arguments as a list, as `List` does."""

    def run(self, *values: t.Any) -> list[t.Any]:
        return list(values)


class Concat(Pipeline):
    """Joins its arguments, which are texts, with a separator between them."""

    def run(self, *texts: str, separator: str = "") -> str:
        return separator.join(texts)


class Union(Pipeline):
    """Gives the items that are in at least one of its lists, each once."""

    def run(self, *lists: list[t.Any]) -> list[t.Any]:
        """Give a list whose order means nothing."""
        return list(dict.fromkeys(chain.from_iterable(lists)))


class Intersection(Pipeline):
    """Gives the items that are in all of its lists, each once."""

    def run(self, *lists: list[t.Any]) -> list[t.Any]:
        """Give a list whose order means nothing."""
        if not lists:
            return []
        others = [set(each) for each in lists[1:]]
        return [value for value in dict.fromkeys(lists[0]) if all(value in o for o in others)]


class Uniquify(Pipeline):
    """Gives its arguments as a list that has each value once."""

    def run(self, *values: t.Any) -> list[t.Any]:
        """Give a list whose order means nothing."""
        return list(dict.fromkeys(values))


class Format(Pipeline):
    """Formats a text with `%`; use `Format.dict` or `Format.tuple`."""

    @classmethod
    def dict(cls, message: str, /, **kwargs: t.Any) -> t.Self:
        """Insert values by their names: `%(name)s`."""
        return cls("dict", message, **kwargs)

    @classmethod
    def tuple(cls, message: str, /, *values: t.Any) -> t.Self:
        """Insert values one after another: `%s`."""
        return cls("tuple", message, *values)

    def run(self, kind: str, message: str, /, *values: t.Any, **kwargs: t.Any) -> str:
        if kind == "dict":
            return message % kwargs
        if kind == "tuple":
            return message % values
        raise Abort(f"Format is given {kind!r}: use Format.dict or Format.tuple")


class Log(Pipeline):
    """Logs a message, formatted with its arguments by `%`, and gives None."""

    _log_method: t.ClassVar[t.Callable[..., t.Any]] = staticmethod(logging.log)

    @classmethod
    def log(cls, level: int, message: str, *values: t.Any) -> t.Self:
        return cls(level, message, *values)

    @classmethod
    def debug(cls, message: str, *values: t.Any) -> t.Self:
        return cls(logging.DEBUG, message, *values)

    @classmethod
    def info(cls, message: str, *values: t.Any) -> t.Self:
        return cls(logging.INFO, message, *values)

    @classmethod
    def warning(cls, message: str, *values: t.Any) -> t.Self:
        return cls(logging.WARNING, message, *values)

    @classmethod
    def error(cls, message: str, *values: t.Any) -> t.Self:
        return cls(logging.ERROR, message, *values)

    @classmethod
    def critical(cls, message: str, *values: t.Any) -> t.Self:
        return cls(logging.CRITICAL, message, *values)

    def run(self, level: int, message: str, *values: t.Any) -> None:
        type(self)._log_method(level, message, *values)


class Delay(Pipeline):
    """Waits the given seconds and gives their number. It blocks no process meanwhile."""

    async_ = True

    def __init__(self, *values: t.Any, **kwargs: t.Any) -> None:
        if values or list(kwargs) != ["seconds"]:
            raise TypeError("Delay takes exactly one keyword argument: Delay(seconds=30)")
        super().__init__(**kwargs)

    def run(self, seconds: float) -> None:
        """Add a task for later; its name prevents a second one."""
        task = self.get_callback_task(name=self._task_name(), countdown=max(0, seconds))
        with suppress(taskqueue.TaskAlreadyExistsError, taskqueue.TombstonedTaskError):
            task.add(self.queue_name)

    def run_test(self, seconds: float) -> None:
        """Fill the output at once, as tests must not wait."""
        logging.debug("Delay does not wait %g seconds in test mode", seconds)
        self.complete(seconds)

    def callback(self, **kwargs: str) -> None:
        """The time has passed: fill the output with the seconds."""
        self.complete(self.kwargs["seconds"])

    def _task_name(self) -> str:
        # The queue remembers the name, so a later workflow with the same key needs another one.
        name = record_of(self).stem
        if not _TASK_NAME.fullmatch(name):
            name = blake2b(name.encode(), digest_size=16).hexdigest()
        return f"ae-pipeline-delay-{name}"

    def _revive(self, now: int) -> bool:
        began = record_of(self).started
        if began is None or now < began + (self.kwargs["seconds"] + LATE) * 1_000_000:
            return False
        self.complete(self.kwargs["seconds"])
        return True


class EmailToContinue(Pipeline):
    """Asks a person by mail whether to continue; gives True or False.

    Arguments, all by name: `subject`; `body` and `html`, of which one is needed, with the places
    %(approve_url)s and %(disapprove_url)s; `sender`, `to`, `cc`, `bcc` and `reply_to`, if others
    than those that the process has; `approve_html` and `disapprove_html`, the pages that are shown
    for an answer. Whoever has the mail can answer, and nobody else: the links hold a secret, which
    is random unless `random_token` gives it.
    """

    async_ = True
    public_callbacks = True

    def __init__(self, **fields: t.Any) -> None:
        if not fields.get("body") and not fields.get("html"):
            raise TypeError("EmailToContinue takes body or html, the mail that asks")
        if unknown := fields.keys() - {*_MAIL, *HEADERS}:
            raise TypeError(f"EmailToContinue does not take {', '.join(sorted(unknown))}")
        token = fields.pop("random_token", None) or secrets.token_urlsafe()
        super().__init__(**{"secret_token": token, **fields})

    def run(
        self,
        *,
        secret_token: str,
        subject: str = "",
        body: str = "",
        html: str = "",
        sender: str | None = None,
        approve_html: str = "",
        disapprove_html: str = "",
        **headers: str | None,
    ) -> None:
        mail = self._mail()
        send = mail_sender(self) or mail.send
        if send is None:
            if self.test_mode:
                return
            raise UsageError("no mail can be sent: set DFPIPE_MAIL_URL, or _send_mail of the class")
        given = {name: value for name, value in headers.items() if value}
        send(sender or mail.sender, subject, *self._texts(body, html, secret_token), **given)

    def run_test(self, **fields: t.Any) -> None:
        """Approve. A mail is sent only by `_send_mail`."""
        self.run(**fields)
        self.complete(True)

    def _mail(self) -> Mail:
        engine = inside(self).engine
        mail: Mail | None = engine and engine.mail
        return mail or Mail()

    def _texts(self, body: str, page: str, token: str) -> tuple[str, str]:
        base = self._mail().base_url.rstrip("/")
        urls = {
            f"{choice}_url": base + self.get_callback_url(choice=choice, token=token)
            for choice in ("approve", "disapprove")
        }
        escaped = {name: html.escape(url) for name, url in urls.items()}
        return body % urls, page % escaped

    def callback(
        self, token: str = "", choice: str = "", random_token: str = "", **others: str
    ) -> Answer:
        """Take the answer; the first one counts. Mail programs may add fields of their own."""
        token = token or random_token
        if not secrets.compare_digest(token.encode(), self.kwargs["secret_token"].encode()):
            return 403, "text/plain", ""
        if choice not in ("approve", "disapprove"):
            return 400, "text/plain", "choice is neither approve nor disapprove"
        self.complete(choice == "approve")
        stored = type(self).from_id(str(self.pipeline_id))
        if stored is None or not stored.outputs.default.filled:
            return 410, "text/plain", "the workflow was aborted: no answer is needed any more"
        is_approved = stored.outputs.default.value
        name = "approve_html" if is_approved else "disapprove_html"
        said = "approved" if is_approved else "not approved"
        return 200, "text/html", self.kwargs.get(name) or f"<p>It is {said}.</p>"
