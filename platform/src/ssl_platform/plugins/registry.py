"""What all plugins together offer: lookup by name, conflicts, close matches."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ssl_platform.errors import PluginError, did_you_mean
from ssl_platform.plugins.declarations import (
    BackboneDeclaration,
    CheckDeclaration,
    DatasetDeclaration,
    Declaration,
    DomainDeclaration,
    ObjectiveDeclaration,
    ProtocolDeclaration,
    TaskDeclaration,
)
from ssl_platform.plugins.loader import CORE, PluginRecord, discover
from ssl_platform.plugins.resolve import resolve

if TYPE_CHECKING:
    from pydantic import BaseModel

_Kind = TypeVar("_Kind", bound=Declaration)


class Registry:
    """Declarations of all plugins that work.

    Args:
        records: from `discover`.
    """

    def __init__(self, records: Iterable[PluginRecord]) -> None:
        self.records = tuple(records)
        self._claims: dict[str, dict[str, list[tuple[PluginRecord, Declaration]]]] = {}
        for record in self.records:
            for kind, declarations in record.declared.items():
                for declaration in declarations:
                    by_name = self._claims.setdefault(kind, {})
                    by_name.setdefault(declaration.name, []).append((record, declaration))

    # ------------------------------------------------------------------------------------------------- by name
    def domain(self, name: str) -> DomainDeclaration:
        """The domain `name` (or `DIST:NAME`)."""
        return cast(DomainDeclaration, self._get("domain", name))

    def objective(self, name: str) -> ObjectiveDeclaration:
        """The objective `name` (or `DIST:NAME`)."""
        return cast(ObjectiveDeclaration, self._get("objective", name))

    def backbone(self, name: str) -> BackboneDeclaration:
        """The backbone `name` (or `DIST:NAME`); a prefix such as `timm:resnet50` gives the declaration of `timm:*`."""
        return cast(BackboneDeclaration, self._get("backbone", name))

    def task(self, name: str) -> TaskDeclaration:
        """The task `name` (or `DIST:NAME`)."""
        return cast(TaskDeclaration, self._get("task", name))

    def protocol(self, name: str) -> ProtocolDeclaration:
        """The protocol `name` (or `DIST:NAME`)."""
        return cast(ProtocolDeclaration, self._get("protocol", name))

    def dataset(self, name: str) -> DatasetDeclaration:
        """The dataset `name` (or `DIST:NAME`)."""
        return cast(DatasetDeclaration, self._get("dataset", name))

    # --------------------------------------------------------------------------------------------------- listings
    def domains(self) -> list[DomainDeclaration]:
        """All domains one plugin alone offers, sorted by name."""
        return self._list("domain", DomainDeclaration)

    def objectives(self) -> list[ObjectiveDeclaration]:
        """All objectives one plugin alone offers, sorted by name."""
        return self._list("objective", ObjectiveDeclaration)

    def backbones(self) -> list[BackboneDeclaration]:
        """All backbones one plugin alone offers, sorted by name."""
        return self._list("backbone", BackboneDeclaration)

    def tasks(self) -> list[TaskDeclaration]:
        """All tasks one plugin alone offers, sorted by name."""
        return self._list("task", TaskDeclaration)

    def protocols(self) -> list[ProtocolDeclaration]:
        """All protocols one plugin alone offers, sorted by name."""
        return self._list("protocol", ProtocolDeclaration)

    def datasets(self) -> list[DatasetDeclaration]:
        """All datasets one plugin alone offers, sorted by name."""
        return self._list("dataset", DatasetDeclaration)

    def checks(self) -> list[CheckDeclaration]:
        """All doctor checks one plugin alone offers, sorted by name."""
        return self._list("check", CheckDeclaration)

    def options(self, domain: str) -> type[BaseModel]:
        """The `data.*` keys of a domain; imports its module, which holds no more than numpy and pydantic."""
        loaded: Any = self.load(self.domain(domain))
        options: type[BaseModel] = loaded.Options
        return options

    def owner(self, declaration: Declaration) -> PluginRecord:
        """The plugin that made a declaration."""
        for record in self.records:
            if any(declaration is one for group in record.declared.values() for one in group):
                return record
        raise PluginError(f"{declaration.name!r} was declared by no plugin loaded here")

    def problems(self) -> list[str]:
        """One line for each plugin that is broken, incompatible or in conflict."""
        return [
            f"plugin {r.name!r} ({r.distribution} {r.version}) is {_status_words(r)}: {r.cause}"
            for r in self.records
            if r.status in ("broken", "incompatible", "conflict")
        ]

    def load(self, declaration: Declaration) -> object:
        """Import what a declaration names.

        Raises:
            PluginError: it cannot be imported; the message names declaration and distribution.
        """
        kind = type(declaration).__name__.removesuffix("Declaration").lower()
        return resolve(declaration.factory, f"{kind} {declaration.name!r} of {self.owner(declaration).distribution}")

    # --------------------------------------------------------------------------------------------------- inside
    def _list(self, kind: str, _: type[_Kind]) -> list[_Kind]:
        found = self._claims.get(kind, {})
        return [cast(_Kind, claims[0][1]) for _, claims in sorted(found.items()) if len(claims) == 1]

    def _get(self, kind: str, asked: str) -> Declaration:
        found = self._claims.get(kind, {})
        name, distribution = asked, ""
        key = _match(name, found)
        if key is None and ":" in asked:
            distribution, name = asked.split(":", 1)
            key = _match(name, found) if any(r.distribution == distribution for r in self.records) else None
        if key is None:
            raise PluginError(self._unknown(kind, asked, found))
        claims = [claim for claim in found[key] if distribution in ("", claim[0].distribution)]
        if not claims:
            others = ", ".join(sorted(record.distribution for record, _ in found[key]))
            raise PluginError(f"{kind} {name!r} is not offered by {distribution} but by {others}")
        if len(claims) > 1:
            who = sorted(record.distribution for record, _ in claims)
            raise PluginError(
                f"{kind} {name!r} is offered by {' and '.join(who)}: say {kind_option(kind)} {who[0]}:{name}, "
                f"or disable one with --disable-plugin"
            )
        return claims[0][1]

    def _unknown(self, kind: str, asked: str, found: Iterable[str]) -> str:
        names = sorted(found)
        text = f"unknown {kind} {asked!r}{did_you_mean(asked, names)}; known: {', '.join(names) or 'none'}"
        for record in self.records:  # a name like a plugin's own is most likely what that plugin would have declared
            if record.name == asked and record.status in ("broken", "incompatible", "disabled"):
                return (
                    f"{kind} {asked!r}: its plugin ({record.distribution} {record.version}) is {record.status}: "
                    f"{record.cause}"
                )
        return text


def kind_option(kind: str) -> str:
    """The option that takes a name of this kind."""
    return {"domain": "--domain", "objective": "--objective", "backbone": "--backbone", "task": "--task"}.get(
        kind, f"--{kind}"
    )


def _status_words(record: PluginRecord) -> str:
    return "in conflict" if record.status == "conflict" else record.status


def missing_requirement(declaration: BackboneDeclaration) -> str | None:
    """What has to be installed before a backbone can be built, or None."""
    for module, install in declaration.requires.items():
        if importlib.util.find_spec(module) is None:
            return f"backbone {declaration.name!r} needs {module}: {install}"
    return None


def _match(name: str, found: Iterable[str]) -> str | None:
    for key in found:
        if key == name or (key.endswith(":*") and name.startswith(key[:-1]) and len(name) > len(key) - 1):
            return key
    return None


_disabled: tuple[str, ...] = ()
_registry: Registry | None = None


def registry() -> Registry:
    """The registry of this process, loaded once.

    Raises:
        PluginError: a plugin to leave out is not installed.
    """
    global _registry
    if _registry is None:
        found = Registry(discover(_disabled))
        installed = {name for record in found.records for name in (record.name, record.distribution)}
        for name in _disabled:
            if name not in installed:
                raise PluginError(f"--disable-plugin {name}: no such plugin{did_you_mean(name, installed)}")
        _registry = found
    return _registry


def disable(names: Iterable[str]) -> None:
    """Leave out plugins by entry-point or distribution name (`--disable-plugin`).

    Raises:
        PluginError: it would leave out the core itself.
    """
    global _disabled
    wanted = tuple(sorted({*_disabled, *names}))
    if CORE in wanted or "core" in wanted:
        raise PluginError("the core cannot be disabled: its objectives and backbones are what commands run")
    if wanted != _disabled:
        _disabled = wanted
        forget()


def forget() -> None:
    """Load plugins anew on next use."""
    global _registry
    _registry = None


def reset() -> None:
    """Forget what was loaded and disabled (tests)."""
    global _disabled
    _disabled = ()
    forget()
