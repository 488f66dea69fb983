"""Discovery: every entry point of the group is loaded on its own, so a broken plugin costs nothing but itself."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Literal

import pluggy

from ssl_platform.errors import PluginError
from ssl_platform.plugins import hookspecs
from ssl_platform.plugins.declarations import Declaration
from ssl_platform.plugins.hookspecs import ACCEPTED, API, HOOKS, PROJECT
from ssl_platform.plugins.resolve import one_line

GROUP = "ssl_platform.plugins"
DISABLE = "SSL_PLATFORM_DISABLE_PLUGINS"
CORE = "ssl-platform"

HEAVY = ("torch", "lightning", "monai", "pandas", "timm")

Status = Literal["ok", "broken", "incompatible", "conflict", "disabled"]


@dataclass(frozen=True)
class PluginRecord:
    """One row of `ssl-platform plugins`.

    Attributes:
        name: the entry point's name.
        distribution, version: who installed it.
        module: the module the entry point names.
        status: `ok`, `broken`, `incompatible`, `conflict` or `disabled`.
        api: the API number it declares, or None where that could not be read.
        cause: one line saying why it is not ok.
        declared: what it declares, by kind, sorted by name; empty unless it is ok or in conflict.
        milliseconds: time to import and ask it.
        heavy: heavy libraries its import pulled in; they make every listing slow.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Status
    api: int | None = None
    cause: str = ""
    declared: dict[str, tuple[Declaration, ...]] = field(default_factory=dict)
    milliseconds: int = 0
    heavy: tuple[str, ...] = ()

    def names(self, kind: str) -> list[str]:
        """Names it declares of one kind."""
        return [declaration.name for declaration in self.declared.get(kind, ())]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        row = {
            key: getattr(self, key) for key in ("name", "distribution", "version", "module", "status", "api", "cause")
        }
        kinds = {f"{kind}s": self.names(kind) for kind, _ in HOOKS.values()}
        return {**row, **kinds, "milliseconds": self.milliseconds, "heavy": list(self.heavy)}


def disabled_by_environment() -> list[str]:
    """Names in `SSL_PLATFORM_DISABLE_PLUGINS`: entry points or distributions, separated by commas."""
    return [name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()]


def discover(disabled: Collection[str] = ()) -> list[PluginRecord]:
    """Load every plugin installed, each on its own.

    Args:
        disabled: entry-point or distribution names not to load, besides those of the environment variable. The core
            itself cannot be left out.

    Returns:
        One record an entry point, sorted by name then distribution. Names claimed twice are marked as conflicts.
    """
    by_environment = disabled_by_environment()
    off = {**dict.fromkeys(disabled, "--disable-plugin"), **dict.fromkeys(by_environment, DISABLE)}
    points = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: (p.name, _owner(p)[0], p.value))
    return mark_conflicts([_load(point, off) for point in points])


def _owner(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    try:
        return (point.dist.name, point.dist.version) if point.dist else ("?", "?")
    except Exception:  # a distribution whose METADATA is missing or damaged is still a row
        return ("?", "?")


def _load(point: importlib.metadata.EntryPoint, off: dict[str, str]) -> PluginRecord:
    distribution, version = _owner(point)
    row = PluginRecord(point.name, distribution, version, point.value, "broken")
    where = (off.get(point.name) or off.get(distribution)) if distribution != CORE else None
    if where:
        return replace(row, status="disabled", cause=f"by {where}")
    start = time.perf_counter()
    before = {library for library in HEAVY if library in sys.modules}
    try:
        module = point.load()
        row = replace(row, api=_api(module))
        if row.api not in ACCEPTED:
            return replace(row, status="incompatible", cause=_incompatible(row))
        row = replace(row, declared=_ask(module, point.name), status="ok")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit and the like too: whatever a third party's module does, the host lives
        cause = str(error) if isinstance(error, PluginError) else one_line(error)
        row = replace(row, status="broken", cause=cause)
    heavy = tuple(library for library in HEAVY if library in sys.modules and library not in before)
    return replace(row, milliseconds=round(1000 * (time.perf_counter() - start)), heavy=heavy)


def _api(module: ModuleType) -> int:
    number = getattr(module, "SSL_PLATFORM_API", None)
    if not isinstance(number, int) or isinstance(number, bool):
        raise PluginError(f"declares no API number: write SSL_PLATFORM_API = {API} in {module.__name__}")
    return number


def _incompatible(row: PluginRecord) -> str:
    whom = CORE if row.api is not None and row.api > API else row.distribution
    return f"was written for plugin API {row.api}; this {CORE} has {API} and accepts {ACCEPTED[0]}: upgrade {whom}"


def _ask(module: ModuleType, name: str) -> dict[str, tuple[Declaration, ...]]:
    """Register one plugin with a manager of its own and call its hooks one by one."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_hook_fault(error)) from error
    declared: dict[str, tuple[Declaration, ...]] = {}
    for hook, (kind, expected) in HOOKS.items():
        found: list[Declaration] = []
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            try:
                found += _checked(implementation.function(), hook, expected)
            except PluginError:
                raise
            except Exception as error:
                raise PluginError(f"hook {hook} raised {one_line(error)}") from error
        if found:
            declared[kind] = tuple(sorted(found, key=lambda declaration: declaration.name))
            _twice(declared[kind], kind)
    return declared


def _hook_fault(error: pluggy.PluginValidationError) -> str:
    text = " ".join(str(error).split())
    if "unknown hook" in text:
        from ssl_platform.errors import did_you_mean

        wrong = text.split("unknown hook")[1].split("'")[1]
        return f"unknown hook {wrong!r}{did_you_mean(wrong, HOOKS)}"
    return f"a hook has the wrong signature: {text}"


def _checked(result: Any, hook: str, expected: type[Declaration]) -> list[Declaration]:
    if isinstance(result, Declaration) or not isinstance(result, Iterable):
        raise PluginError(f"hook {hook} must return a list of {expected.__name__}, got {type(result).__name__}")
    found = list(result)
    for declaration in found:
        if not isinstance(declaration, expected):
            raise PluginError(f"hook {hook} must return {expected.__name__} objects, got {type(declaration).__name__}")
    return found


def _twice(declarations: tuple[Declaration, ...], kind: str) -> None:
    names = [declaration.name for declaration in declarations]
    for name in names:
        if names.count(name) > 1:
            raise PluginError(f"declares the {kind} {name!r} twice")


def mark_conflicts(records: list[PluginRecord]) -> list[PluginRecord]:
    """Give every plugin that shares a declared name with another the status `conflict` and the cause."""
    claims: dict[tuple[str, str], list[PluginRecord]] = {}
    for record in records:
        for kind in record.declared:
            for name in record.names(kind):
                claims.setdefault((kind, name), []).append(record)
    causes: dict[int, list[str]] = {}
    for (kind, name), claimants in sorted(claims.items(), key=lambda claim: claim[0]):
        for record in claimants if len(claimants) > 1 else ():
            others = ", ".join(sorted({other.distribution for other in claimants if other is not record}))
            causes.setdefault(id(record), []).append(f"{kind} {name!r} is also offered by {others}")
    return [
        replace(record, status="conflict", cause="; ".join(causes[id(record)])) if id(record) in causes else record
        for record in records
    ]
