"""From a factory string to the object it names."""

from __future__ import annotations

import importlib
from typing import Any

from ssl_platform.errors import PluginError


def one_line(error: BaseException) -> str:
    """An exception as one line: its message, or its type where it has none."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def resolve(factory: str, owner: str = "") -> Any:
    """Import what `"package.module:Name"` names.

    Args:
        factory: the string of a declaration.
        owner: who declared it, for the message, e.g. `domain 'audio' of ssl-platform-audio`.

    Raises:
        PluginError: the module cannot be imported or has no such name.
    """
    module_name, _, attributes = factory.partition(":")
    whose = f"{owner}: " if owner else ""
    try:
        found: Any = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{whose}cannot import {module_name} ({one_line(error)})") from error
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise PluginError(f"{whose}module {module_name} has no {attribute!r} (factory {factory!r})") from None
    return found
