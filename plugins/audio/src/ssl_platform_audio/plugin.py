"""What audio declares. Importing this module imports nothing heavy."""

from __future__ import annotations

from ssl_platform.plugins import DomainDeclaration, hookimpl

SSL_PLATFORM_API = 1


@hookimpl
def ssl_platform_domains() -> list[DomainDeclaration]:
    """The domain."""
    return []
