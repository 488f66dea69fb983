"""How plugins enter: declarations, hooks, discovery, isolation, compatibility.

A plugin is a light module named by an entry point of the group `ssl_platform.plugins`. It states the API number it was
written for and returns frozen declarations whose factories are strings, imported on use:

    from ssl_platform.plugins import DomainDeclaration, hookimpl

    SSL_PLATFORM_API = 1

    @hookimpl
    def ssl_platform_domains():
        return [DomainDeclaration(name="audio", factory="ssl_platform_audio.domain:Audio", summary="...", axes="C T")]

Importing this package imports no torch, numpy or pydantic.
"""

from ssl_platform.config.settings import Setting
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
from ssl_platform.plugins.fit import check_fit, check_given, fitting, missing
from ssl_platform.plugins.hookspecs import ACCEPTED, API, HOOKS, hookimpl
from ssl_platform.plugins.loader import GROUP, PluginRecord, discover
from ssl_platform.plugins.registry import Registry, disable, missing_requirement, registry, reset
from ssl_platform.plugins.resolve import resolve

__all__ = [
    "ACCEPTED",
    "API",
    "GROUP",
    "HOOKS",
    "BackboneDeclaration",
    "CheckDeclaration",
    "DatasetDeclaration",
    "Declaration",
    "DomainDeclaration",
    "ObjectiveDeclaration",
    "PluginRecord",
    "ProtocolDeclaration",
    "Registry",
    "Setting",
    "TaskDeclaration",
    "check_fit",
    "check_given",
    "disable",
    "discover",
    "fitting",
    "hookimpl",
    "missing",
    "missing_requirement",
    "registry",
    "reset",
    "resolve",
]
