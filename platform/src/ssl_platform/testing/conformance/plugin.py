"""Checks of a plugin as a package: it loads, costs nothing, and its declarations are those of what they name."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from ssl_platform.errors import PluginError
from ssl_platform.plugins import BackboneDeclaration, Declaration, PluginRecord, missing_requirement, resolve
from ssl_platform.testing.conformance.check import Check, NotApplicable, Violation

LISTING_MS = 250
"""Milliseconds the plugin module may take: it is imported by every command, listings included."""
USE_MS = 1500
"""Milliseconds the module of a domain may take: it is imported to check `data.*` keys."""
HEAVY = ("torch", "lightning", "monai", "pandas", "timm", "scipy", "sklearn", "torchvision")
_PROBE = """
import json, sys, time
import ssl_platform.plugins, ssl_platform.domain, numpy, pydantic
before = set(sys.modules)
start = time.perf_counter()
__import__({module!r})
spent = 1000 * (time.perf_counter() - start)
print(json.dumps([spent, sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})]))
"""


def checks(record: PluginRecord) -> Iterator[Check]:
    """Checks of one installed plugin."""
    subject = f"plugin {record.name}"
    yield Check("plugin.loads", subject, "its module imports and its hooks answer", functools.partial(loads, record))
    if record.status in ("broken", "incompatible", "disabled"):
        return
    yield Check(
        "plugin.import", subject, "importing it takes no time and no heavy library", functools.partial(listing, record)
    )
    for kind, declarations in sorted(record.declared.items()):
        for one in declarations:
            yield Check(
                f"factory.{kind}.{one.name}",
                subject,
                f"what the {kind} names can be imported",
                functools.partial(resolves, one),
            )


def loads(record: PluginRecord) -> None:
    """Status and name conflicts."""
    if record.status != "ok":
        raise Violation(
            f"{record.distribution} {record.version} is {record.status}: {record.cause}",
            "ssl-platform plugins names the cause; a listing must never break",
        )
    if not record.declared:
        raise Violation(
            f"{record.module} answers no hook", "implement one, such as ssl_platform_domains, with @hookimpl"
        )


def listing(record: PluginRecord) -> str:
    """Import cost of the plugin module."""
    return import_cost(record.module, LISTING_MS)


def resolves(declaration: Declaration) -> str | None:
    """The factory string."""
    if isinstance(declaration, BackboneDeclaration) and (lacks := missing_requirement(declaration)):
        raise NotApplicable(lacks)
    try:
        found = resolve(declaration.factory)
    except PluginError as error:
        raise Violation(str(error), f"correct factory={declaration.factory!r}") from None
    if not callable(found):
        raise Violation(
            f"{declaration.factory} is a {type(found).__name__}, not a class or a function",
            "name the class or function itself",
        )
    return None


def import_cost(module: str, limit: int) -> str:
    """Import a module in a fresh interpreter.

    Args:
        module: dotted name.
        limit: milliseconds beyond what the platform, numpy and pydantic take.

    Raises:
        Violation: it takes longer, twice, or pulls in a heavy library.
    """
    spent, heavy = _measured(module)
    if heavy:
        raise Violation(
            f"importing {module} imports {', '.join(heavy)}",
            "import heavy libraries inside the functions that use them; name factories by string; names of "
            "ssl_platform.api about views, backbones and objectives bring torch: import them under TYPE_CHECKING",
        )
    if spent > limit:
        spent = min(spent, _measured(module)[0])  # a busy machine is not the plugin's fault
    if spent > limit:
        raise Violation(
            f"importing {module} takes {spent:.0f} ms; {limit} ms are allowed",
            "move work and imports out of module level: python -X importtime shows what takes long",
        )
    return f"{spent:.0f} ms"


def _measured(module: str) -> tuple[float, list[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", _PROBE.format(module=module)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise Violation(f"importing {module} in a fresh interpreter fails: {last}", "make the module importable alone")
    spent, names = json.loads(done.stdout.strip().splitlines()[-1])
    return spent, sorted(set(names) & set(HEAVY))
