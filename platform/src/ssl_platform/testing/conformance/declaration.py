"""Checks of what a domain declares, against its class and against what is installed."""

from __future__ import annotations

from collections.abc import Iterator

from ssl_platform.domain import Domain, DomainOptions
from ssl_platform.errors import PluginError
from ssl_platform.plugins import BackboneDeclaration, ObjectiveDeclaration, missing, registry
from ssl_platform.testing.conformance.check import Check, Violation, checks_of
from ssl_platform.testing.conformance.plugin import USE_MS, import_cost
from ssl_platform.testing.conformance.subject import DomainUnderTest

SPATIAL = "DHWTFXYZ"


def checks(domain: DomainUnderTest) -> Iterator[Check]:
    """Checks of one domain's declaration."""
    yield from checks_of(
        domain,
        ("declaration.import", "its class is imported quickly, without heavy libraries", imports),
        ("declaration.class", "the declaration says what the class says", agrees),
        ("declaration.layout", "the layout is sound", layout),
        ("declaration.options", "its data.* keys have types, defaults and no namesake", options),
        ("declaration.sizes", "window and patch fit the layout and each other", sizes),
        ("declaration.defaults", "its default objective and backbone are installed and fit", defaults),
        ("declaration.tasks", "its tasks are known", tasks),
    )


def imports(domain: DomainUnderTest) -> str:
    """Import cost of the module with the class."""
    return import_cost(domain.declaration.factory.partition(":")[0], USE_MS)


def agrees(domain: DomainUnderTest) -> None:
    """Declaration and class side by side."""
    declared, kind = domain.declaration, domain.kind
    if not (isinstance(kind, type) and issubclass(kind, Domain)):
        raise Violation(
            f"{declared.factory} is no ssl_platform.domain.Domain", "derive the class from ssl_platform.api.Domain"
        )
    own = kind.layout
    pairs: dict[str, tuple[object, object]] = {
        "name": (declared.name, kind.name),
        "axes": (declared.axes, own.axes),
        "relations": (set(declared.relations), set(own.relations)),
        "symmetries": (set(declared.symmetries), set(own.symmetries)),
        "moves": (set(declared.moves), set(own.moves)),
        "tasks": (set(declared.tasks), set(kind.tasks)),
        "suffixes": (set(declared.suffixes), set(kind.suffixes)),
        "default_objective": (declared.default_objective, kind.default_objective),
        "default_backbone": (declared.default_backbone, kind.default_backbone),
    }
    if declared.channels is not None:
        pairs["channels"] = (declared.channels, len(own.channels))
    for field, (said, is_) in pairs.items():
        if said != is_:
            raise Violation(
                f"the declaration says {field}={_shown(said)}, the class {_shown(is_)}",
                f"write {field} once as a constant and use it in both",
            )


def layout(domain: DomainUnderTest) -> None:
    """Axes, symmetries, moves, channel names."""
    own = domain.layout
    words = own.axes.split()
    if own.points and words != ["N", "C"]:
        raise Violation(f"axes {own.axes!r}", "point sets are 'N C'")
    if not own.points and (
        words[:1] != ["C"] or not words[1:] or set(words[1:]) - set(SPATIAL) or len(set(words)) < len(words)
    ):
        raise Violation(f"axes {own.axes!r}", "begin with C and name one to three axes, such as 'C T' or 'C D H W'")
    for name in sorted(own.symmetries | own.moves):
        _, _, letters = name.partition(":")
        unknown = set(letters) - set(own.spatial)
        if unknown:
            raise Violation(
                f"{name!r} names the axis {sorted(unknown)[0]}, which {own.axes!r} lacks",
                f"use the axes {' '.join(own.spatial)}",
            )
    names = [channel.name for channel in own.channels]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Violation(f"the channel {sorted(twice)[0]!r} is named twice", "channel names are unique")
    for channel in own.channels:
        if channel.bounds is not None and not channel.bounds[0] < channel.bounds[1]:
            raise Violation(f"channel {channel.name!r} has bounds {channel.bounds}", "write (low, high), low first")


def options(domain: DomainUnderTest) -> str:
    """`Options` as a pydantic model that starts without arguments."""
    from ssl_platform.config.schema import DataConfig

    kind = domain.kind.Options
    if not issubclass(kind, DomainOptions):
        raise Violation(f"Options is a {kind.__name__}", "derive it from ssl_platform.api.DomainOptions")
    kind()
    taken = sorted(set(kind.model_fields) & set(DataConfig.model_fields))
    if taken:
        raise Violation(
            f"data.{taken[0]} is a key of the platform itself", "give the option another name; it would never be read"
        )
    return f"{len(kind.model_fields)} keys"


def sizes(domain: DomainUnderTest) -> None:
    """Window and patch."""
    kind = domain.kind
    rank = 1 if domain.layout.points else domain.layout.rank
    for name, value in (("window", kind.window), ("patch", kind.patch)):
        if len(value) != rank or any(not isinstance(n, int) or n < 1 for n in value):
            raise Violation(f"{name}={value}", f"give {rank} positive whole number(s), one a spatial axis")
    if not domain.layout.points:
        for n, p in zip(kind.window, kind.patch, strict=True):
            if n % p or n < 2 * p:
                raise Violation(
                    f"window={kind.window} is cut into patches of {kind.patch}",
                    "make each side of the window a multiple of the patch, at least two of them",
                )


def defaults(domain: DomainUnderTest) -> None:
    """What runs when none is named."""
    known = registry()
    try:
        objective: ObjectiveDeclaration = known.objective(domain.kind.default_objective)
        backbone: BackboneDeclaration = known.backbone(domain.kind.default_backbone)
    except PluginError as error:
        raise Violation(str(error), "name an installed objective and backbone as defaults") from None
    gaps = missing(objective.needs, domain.declaration, backbone)
    if gaps:
        raise Violation(
            f"{objective.name} with {backbone.name} needs {', '.join(gaps)}",
            f"choose another default: ssl-platform objectives --domain {domain.name}",
        )


def tasks(domain: DomainUnderTest) -> None:
    """Kinds the core evaluates, or tasks some plugin declares."""
    from ssl_platform.data.tasks import KINDS

    known = {*KINDS, *(task.name for task in registry().tasks())}
    for name in domain.kind.tasks:
        if name not in known:
            raise Violation(f"the task {name!r} is nobody's", f"known are {', '.join(sorted(known))}")


def _shown(value: object) -> str:
    return ", ".join(sorted(map(str, value))) or "none" if isinstance(value, set) else repr(value)
