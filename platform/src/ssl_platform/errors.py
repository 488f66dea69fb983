"""Every error this package raises on purpose.

    SslPlatformError            exit code 1 unless a subclass says otherwise
    ├── UsageError              found before the first step: exit code 2
    │   ├── ConfigError         an option, a recipe, a key or a value
    │   ├── DataError           files, manifests, splits, masks
    │   │   └── LabelError      labels, classes, tasks
    │   ├── PluginError         discovery, registration, compatibility
    │   └── EncoderError        an encoder or model file, or its use on other input
    ├── Unreadable              one item cannot be read: it goes to quarantine, the run goes on
    │   ├── Aside               a file is no item but lies beside items (a label raster): it is set aside and said
    │   └── Misfit              a mask does not lie on the grid of its image: the pair goes to quarantine
    ├── RunFailed               after the first step: disk, numerics, memory
    │   └── RunStopped          health.stop or a signal ended the run after saving
    └── CacheError              the preprocessed cache cannot be written or is damaged

A message is one line that names what, where and the fix.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SslPlatformError(Exception):
    """Base of all errors raised on purpose; the command line prints its message as one line."""

    exit_code = 1


class UsageError(SslPlatformError):
    """Found before the first step: wrong usage, configuration or data."""

    exit_code = 2


class ConfigError(UsageError):
    """An option, recipe, key or value is wrong."""


class DataError(UsageError):
    """Files, manifests, splits or masks cannot be used as given."""


class LabelError(DataError):
    """Labels, classes or the task cannot be used as given."""


class PluginError(UsageError):
    """A plugin is missing, broken, incompatible or in conflict."""


class EncoderError(UsageError):
    """An encoder or model file is unreadable, or does not fit the input it is given."""


class Unreadable(SslPlatformError):
    """One item cannot be read.

    Args:
        why: one line with the cause, without the path.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Aside(Unreadable):
    """A file is no item but lies beside items: it is set aside and said, and counts as no failure.

    Rows found before it is raised are used where `data.include` names the file.

    Args:
        why: a few words that follow "1 file", such as `looking like label rasters`.
    """


class Misfit(Unreadable):
    """A mask does not lie on the grid of its image: that pair goes to quarantine, the rest goes on."""


class RunFailed(SslPlatformError):
    """A run failed after its first step; what was saved stays usable."""


class RunStopped(RunFailed):
    """A run was stopped on purpose (a signal, or `health.stop`) after saving.

    Args:
        message: one line.
        exit_code: 130 for SIGINT, 143 for SIGTERM, 1 for `health.stop`.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CacheError(SslPlatformError):
    """The preprocessed cache cannot be written, or a file in it is damaged."""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for the closest option, or an empty string.

    Args:
        name: what was written.
        options: what would have been accepted.
    """
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
