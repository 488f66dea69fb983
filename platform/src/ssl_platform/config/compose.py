"""From schema defaults, domain defaults, recipes, options and overrides to one validated configuration.

Later sources win, and every value remembers where it came from. What plugins offer is passed in (`Offers`), so this
floor knows no plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ssl_platform.config.grammar import settings_model
from ssl_platform.config.messages import config_error
from ssl_platform.config.overrides import flatten, nest
from ssl_platform.config.recipes import load_recipe
from ssl_platform.config.schema import RunConfig
from ssl_platform.config.settings import Setting
from ssl_platform.errors import ConfigError

_NAMED = ("objective", "backbone")  # sections whose keys belong to what their `name` names


class DomainOffer(Protocol):
    """What is read of a domain's declaration."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def default_objective(self) -> str: ...  # noqa: D102
    @property
    def default_backbone(self) -> str: ...  # noqa: D102


class SettingsOffer(Protocol):
    """What is read of an objective's or a backbone's declaration."""

    @property
    def settings(self) -> Sequence[Setting]: ...  # noqa: D102
    @property
    def open_settings(self) -> bool: ...  # noqa: D102


class Offers(Protocol):
    """What plugins offer, by name; `ssl_platform.plugins.Registry` is one."""

    def domain(self, name: str) -> DomainOffer: ...  # noqa: D102
    def objective(self, name: str) -> SettingsOffer: ...  # noqa: D102
    def backbone(self, name: str) -> SettingsOffer: ...  # noqa: D102
    def options(self, domain: str) -> type[BaseModel]: ...  # noqa: D102


@dataclass
class Layer:
    """One source of values.

    Attributes:
        values: dotted keys.
        sources: where each came from.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(values: Mapping[str, Any], source: str) -> Layer:
        """All values from one source."""
        return Layer(dict(values), dict.fromkeys(values, source))


def compose(
    command: str,
    offers: Offers,
    *,
    recipes: Iterable[str] = (),
    options: Mapping[str, tuple[str, Any]] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration of one run.

    Args:
        command: `pretrain`, `probe`...
        offers: what plugins offer.
        recipes: files or names of shipped recipes, in order.
        options: dotted key -> (the option's words, value), only those given.
        overrides: dotted keys.

    Raises:
        ConfigError: an unknown key (with a close match), a wrong value, a recipe of another command.
        PluginError: an unknown domain, objective or backbone.
    """
    layers = [_recipe_layer(name, command) for name in recipes]
    given = dict(options or {})
    layers.append(Layer({k: v for k, (_, v) in given.items()}, {k: source for k, (source, _) in given.items()}))
    layers.append(_normal(Layer.of(overrides or {}, "override")))
    asked = _merge(layers)

    domain = asked.values.get("domain")
    declared = offers.domain(str(domain)) if domain is not None else None
    if declared is not None:
        names = {"objective.name": declared.default_objective, "backbone.name": declared.default_backbone}
        asked = _merge([Layer.of(names, f"domain {declared.name}"), asked])
    return _validate(command, asked, offers, declared)


def complete(config: RunConfig, domain: str, offers: Offers) -> RunConfig:
    """A configuration that named no domain, once an encoder file or the data told it; checks `data.*` keys of its own.

    Raises:
        ConfigError: a `data.*` key the domain does not have.
    """
    values = flatten(config.model_dump(mode="json", by_alias=True))
    asked = {key: value for key, value in values.items() if config.given(key)}
    sources = {key: config.source(key) for key in asked}
    layer = Layer({**asked, "domain": domain}, {**sources, "domain": config.source("domain")})
    return _validate(config.command, layer, offers, offers.domain(domain))


# -------------------------------------------------------------------------------------------------------------- layers
def _recipe_layer(name: str, command: str) -> Layer:
    recipe = load_recipe(name)
    if "stages" in recipe.values:
        raise ConfigError(f"recipe {name}: stages are run one by one: pass the file of one stage")
    written_for = recipe.values.get("command", command)
    if written_for != command:
        raise ConfigError(f"recipe {name} is for {written_for}, not {command}: run ssl-platform {written_for}")
    values = flatten(recipe.values)
    lines = {key: _line(key, recipe.lines) for key in values}
    return _normal(Layer(values, {key: f"recipe {name} line {line}" for key, line in lines.items()}))


def _line(key: str, lines: Mapping[str, int]) -> int:
    while key not in lines and "." in key:
        key = key.rpartition(".")[0]
    return lines.get(key, 1)


def _normal(layer: Layer) -> Layer:
    """`objective: mae` means `objective.name: mae`; mappings given as one value are taken apart."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for key, value in layer.values.items():
        if key in _NAMED and isinstance(value, str):
            pairs = {f"{key}.name": value}
        elif isinstance(value, dict) and value:
            pairs = flatten(value, f"{key}.")
        else:
            pairs = {key: value}
        for dotted, one in pairs.items():
            values[dotted] = one
            sources[dotted] = layer.sources.get(key, "default")
    return Layer(values, sources)


def _merge(layers: Iterable[Layer]) -> Layer:
    """Later layers win. A layer that names another objective or backbone drops the settings of the one before."""
    merged = Layer()
    for layer in layers:
        for section in _NAMED:
            name = layer.values.get(f"{section}.name")
            if name is not None and name != merged.values.get(f"{section}.name", name):
                for key in [key for key in merged.values if key.startswith(f"{section}.")]:
                    del merged.values[key], merged.sources[key]
        merged.values.update(layer.values)
        merged.sources.update(layer.sources)
    return merged


# ---------------------------------------------------------------------------------------------------------- validation
def _validate(command: str, asked: Layer, offers: Offers, domain: DomainOffer | None) -> RunConfig:
    known = set(schema_keys(RunConfig))
    nested = nest(asked.values)
    sources = dict(asked.sources)
    _check_sections(nested, sources)
    models: dict[str, type[BaseModel]] = {}
    for section, find in (("objective", offers.objective), ("backbone", offers.backbone)):
        if section in nested:
            declared = find(str(nested[section]["name"]))
            models[section] = settings_model(
                section, declared.settings, "allow" if declared.open_settings else "forbid"
            )
            known |= {f"{section}.name", *(f"{section}.{setting.name}" for setting in declared.settings)}
    if domain is not None:
        models["data"] = offers.options(str(nested["domain"]))
        known |= {f"data.{name}" for name in models["data"].model_fields}
    for section, model in models.items():
        owner = f"{section} {nested[section]['name']}" if section in _NAMED else f"domain {nested['domain']}"
        nested[section] = _fill(section, owner, model, nested.get(section, {}), known, sources)
    nested["command"] = command
    nested["data"] = _absolute(nested.get("data", {}))
    try:
        config = RunConfig.model_validate(nested)
    except ValidationError as error:
        raise config_error(error, known, sources.get) from None
    config._sources.update(sources)
    return config


def _check_sections(nested: dict[str, Any], sources: Mapping[str, str]) -> None:
    """A section given a plain value, and settings of an objective or backbone nobody named."""
    sections = [name for name in RunConfig.model_fields if name in _NAMED or _section_fields(name)]
    for section in sections:
        inner = nested.get(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{section}={inner}: is a section, set one of its keys [{sources.get(section)}]")
        if section in _NAMED and not inner:
            nested.pop(section, None)
        elif section in _NAMED and "name" not in inner:
            key = f"{section}.{next(iter(inner))}"
            raise ConfigError(f"{key}: name the {section} first, {section}.name=... or --domain [{sources.get(key)}]")


def _fill(
    section: str, owner: str, model: type[BaseModel], inner: dict[str, Any], known: set[str], sources: dict[str, str]
) -> dict[str, Any]:
    """Validate the settings a plugin owns and return the section with their defaults."""
    fields = _section_fields(section)
    core = {"name", *fields, *(info.alias for info in fields.values() if info.alias)}
    own = {key: value for key, value in inner.items() if key not in core}
    try:
        checked = model.model_validate(own)
    except ValidationError as error:
        raise config_error(error, known, sources.get, f"{section}.") from None
    filled = {key: value for key, value in inner.items() if key in core}
    for key, value in checked.model_dump(mode="json").items():
        filled[key] = value
        sources.setdefault(f"{section}.{key}", owner)
    return filled


def _section_fields(section: str) -> dict[str, FieldInfo]:
    annotation = RunConfig.model_fields[section].annotation
    return dict(annotation.model_fields) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else {}


def _absolute(data: dict[str, Any]) -> dict[str, Any]:
    """Paths as absolute ones, so that a run resumes from any folder; addresses (`s3://`) stay."""

    def one(path: Any) -> Any:
        return str(Path(path).expanduser().absolute()) if isinstance(path, str) and path and "://" not in path else path

    changed = dict(data)
    if isinstance(changed.get("paths"), str):
        changed["paths"] = [changed["paths"]]
    if isinstance(changed.get("paths"), list):
        changed["paths"] = [one(path) for path in changed["paths"]]
    if "manifest" in changed:
        changed["manifest"] = one(changed["manifest"])
    return changed


def schema_keys(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Every dotted key of a schema with its description."""
    keys: dict[str, str] = {}
    for name, info in model.model_fields.items():
        dotted = f"{prefix}{info.alias or name}"
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys.update(schema_keys(annotation, f"{dotted}."))
        else:
            keys[dotted] = info.description or ""
    return keys
