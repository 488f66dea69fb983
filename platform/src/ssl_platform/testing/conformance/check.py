"""A named check, and what came of it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol, TypeVar

from ssl_platform.errors import SslPlatformError

Status = Literal["passed", "failed", "skipped", "expected", "unexpected"]


class Violation(Exception):
    """A promise is not kept.

    Args:
        cause: one line: what is wrong, where, with the values.
        fix: one line: what the author changes.
    """

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause, self.fix = cause, fix


class NotApplicable(Exception):
    """There is nothing to check here.

    Args:
        why: a few words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Check:
    """One promise of a plugin, held to.

    Attributes:
        name: `group.what`, unique within its subject: `windows.workers`.
        subject: what is checked: `domain audio`, `objective simclr`, `plugin acme`.
        about: the promise in a few words.
        run: returns a note (or None), or raises `Violation` or `NotApplicable`.
        counts: whether it takes part in the floor of checks that must really run.
    """

    name: str
    subject: str
    about: str
    run: Callable[[], str | None]
    counts: bool = True


class Subject(Protocol):
    """What checks are made of.

    Attributes:
        subject: its name in `Check.subject`.
    """

    subject: str


S = TypeVar("S", bound=Subject)


def checks_of(subject: S, *rows: tuple[str, str, Callable[[S], str | None]]) -> Iterator[Check]:
    """Checks of one subject, each given by its name, its promise and the function that takes the subject."""
    for name, about, run in rows:
        yield Check(name, subject.subject, about, functools.partial(run, subject))


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Attributes:
        name, subject, about: of the check.
        status: `passed`; `failed`; `skipped` (nothing to check); `expected` (failed, and that was known); `unexpected`
            (passed although its failure was declared).
        seconds: it took.
        cause: why it is not passed, one line; a note where it passed.
        fix: what to change, one line.
    """

    name: str
    subject: str
    about: str
    status: Status
    seconds: float
    cause: str = ""
    fix: str = ""

    @property
    def bad(self) -> bool:
        """Whether it makes the whole kit fail."""
        return self.status in ("failed", "unexpected")

    @property
    def ran(self) -> bool:
        """Whether something was really checked."""
        return self.status in ("passed", "failed", "unexpected")

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def perform(check: Check, expected: Mapping[str, str] | None = None) -> Outcome:
    """Run a check; nothing but an interrupt gets out.

    Args:
        check: to run.
        expected: reasons of known failures by name or pattern: `{"quarantine.truncated": "raw streams have no end"}`.
    """
    start = time.perf_counter()
    cause, fix = "", ""
    status: Status = "passed"
    try:
        cause = check.run() or ""
    except NotApplicable as nothing:
        status, cause = "skipped", nothing.why
    except Violation as found:
        status, cause, fix = "failed", found.cause, found.fix
    except SslPlatformError as error:
        status, cause, fix = "failed", one_line(error), "the message says it; the same command fails for a user"
    except Exception as error:
        status, cause = "failed", f"{type(error).__name__}: {one_line(error)}{_place(error)}"
        fix = "the exception comes from this line or what it was given; raise one of ssl_platform.errors for bad input"
    known = reason(check, expected or {})
    if known is not None and status == "failed":
        status, cause, fix = "expected", f"{known} ({cause})", ""
    elif known is not None and status == "passed":
        status, cause = "unexpected", f"passed, but is declared to fail: {known}"
        fix = f"remove {check.name!r} from the expected failures"
    return Outcome(check.name, check.subject, check.about, status, time.perf_counter() - start, cause, fix)


def reason(check: Check, expected: Mapping[str, str]) -> str | None:
    """Why a check is known to fail, or None."""
    return next((why for pattern, why in expected.items() if fnmatchcase(check.name, pattern)), None)


def one_line(error: BaseException) -> str:
    """An exception's message on one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:299]}…"


def _place(error: BaseException) -> str:
    """` (file.py:12 in name)` of the innermost frame outside installed libraries."""
    found, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if "site-packages" not in code.co_filename and "conformance" not in code.co_filename:
            found = f" ({code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    return found
