"""The hooks a plugin may implement, and the API number they belong to.

Hooks only ever gain arguments, and an implementation may take fewer than are offered, so an old plugin goes on working.
Order means nothing: everything is sorted by name.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

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

PROJECT = "ssl_platform"
API = 1
ACCEPTED = (API - 1, API)

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ssl_platform_domains() -> Iterable[DomainDeclaration]:
    """Kinds of data."""
    raise NotImplementedError


@hookspec
def ssl_platform_objectives() -> Iterable[ObjectiveDeclaration]:
    """Self-supervised objectives."""
    raise NotImplementedError


@hookspec
def ssl_platform_backbones() -> Iterable[BackboneDeclaration]:
    """Backbones, by name or by prefix (`timm:*`)."""
    raise NotImplementedError


@hookspec
def ssl_platform_tasks() -> Iterable[TaskDeclaration]:
    """Downstream tasks."""
    raise NotImplementedError


@hookspec
def ssl_platform_protocols() -> Iterable[ProtocolDeclaration]:
    """Ways to evaluate an encoder."""
    raise NotImplementedError


@hookspec
def ssl_platform_datasets() -> Iterable[DatasetDeclaration]:
    """Public datasets as they are downloaded."""
    raise NotImplementedError


@hookspec
def ssl_platform_checks() -> Iterable[CheckDeclaration]:
    """Checks `ssl-platform doctor` runs."""
    raise NotImplementedError


HOOKS: dict[str, tuple[str, type[Declaration]]] = {
    "ssl_platform_domains": ("domain", DomainDeclaration),
    "ssl_platform_objectives": ("objective", ObjectiveDeclaration),
    "ssl_platform_backbones": ("backbone", BackboneDeclaration),
    "ssl_platform_tasks": ("task", TaskDeclaration),
    "ssl_platform_protocols": ("protocol", ProtocolDeclaration),
    "ssl_platform_datasets": ("dataset", DatasetDeclaration),
    "ssl_platform_checks": ("check", CheckDeclaration),
}
"""Hook name -> the kind of thing it declares (a word for messages) and the class of its declarations."""
