"""Every name of a new plugin, told from one word, and whether it is free."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from typing import Literal

from ssl_platform.errors import UsageError
from ssl_platform.plugins import registry

Kind = Literal["domain", "objective"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 24  # lines of the templates that hold the name stay within 120 letters
_PREFIX = "ssl-platform-"


@dataclass(frozen=True)
class Names:
    """What things of a new plugin are called.

    Attributes:
        name: of the domain or objective and of the entry point: `sleep-eeg`.
    """

    name: str

    @property
    def distribution(self) -> str:
        """`ssl-platform-sleep-eeg`."""
        return f"{_PREFIX}{self.name}"

    @property
    def package(self) -> str:
        """`ssl_platform_sleep_eeg`."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """`SleepEeg`."""
        return "".join(word.capitalize() for word in self.name.split("-"))


def names_of(asked: str, kind: Kind) -> Names:
    """The names of a new plugin.

    Args:
        asked: what the user typed; a leading `ssl-platform-` is no part of the name.
        kind: what the plugin declares.

    Raises:
        UsageError: it is no name for a distribution and a module, or it is taken; says by whom and what to write.
    """
    names = Names(asked.removeprefix(_PREFIX))
    if not _NAME.fullmatch(names.name):
        close = re.sub(r"[^a-z0-9]+", "-", names.name.lower()).strip("-")
        hint = f": write {close}" if _NAME.fullmatch(close) else ""
        raise UsageError(
            f"new-plugin {asked!r}: use lower case letters, digits and single '-', beginning with a letter{hint}"
        )
    if len(names.name) > _LONGEST:
        raise UsageError(f"new-plugin {asked!r}: {len(names.name)} letters, at most {_LONGEST} are taken")
    taken = _taken_by(names, kind)
    if taken:
        raise UsageError(f"new-plugin {names.name!r}: {taken}; choose another name")
    return names


def _taken_by(names: Names, kind: Kind) -> str | None:
    """What has one of the names already, or None."""
    for record in registry().records:
        if names.name in record.names(kind):
            return f"the {kind} {names.name!r} is offered by {record.distribution}"
        if names.name == record.name:
            return f"the plugin {names.name!r} is installed with {record.distribution}"
    try:
        importlib.metadata.distribution(names.distribution)
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        return f"the distribution {names.distribution} is installed"
    if importlib.util.find_spec(names.package) is not None:
        return f"a module {names.package} is installed"
    return None
