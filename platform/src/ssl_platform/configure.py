"""From what a command or a Python call was given to one validated `RunConfig`. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_platform.config.compose import compose
from ssl_platform.config.overrides import flatten
from ssl_platform.config.schema import RunConfig
from ssl_platform.errors import ConfigError, PluginError
from ssl_platform.joint_plan import COMBINATION, join
from ssl_platform.plugins import Registry, check_fit, check_given, missing_requirement, registry

RESUME_MAY_CHANGE = (
    "run",
    "data.workers",
    "trainer.devices",
    "trainer.accelerator",
    "trainer.nodes",
    "trainer.strategy",
    "trainer.loggers",
    "trainer.keep",
    "trainer.requeue",
    "cache.dir",
    "cache.max_gb",
)

_OF_PRETRAINING = ("optim.", "objective.", "health.", "trainer.max_steps", "trainer.checkpoint_every", "trainer.keep")
_OTHERS = ("finetune", "probe", "embed", "predict", "compare", "analyze")
_SAME = {"max_steps": "steps", "checkpoint_every": "eval_every"}

_OPTIONS = {
    "domain": "domain",
    "data": "data.paths",
    "manifest": "data.manifest",
    "labels": "labels.source",
    "objective": "objective.name",
    "backbone": "backbone.name",
    "init": "init",
    "run": "run",
    "seed": "seed",
    "encoder": "encoder",
    "task": "task",
    "protocol": "protocol",
}


def configure(
    command: str,
    *,
    recipes: Iterable[str] = (),
    settings: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    **options: Any,
) -> RunConfig:
    """The configuration of one run.

    Args:
        command: `pretrain`, `probe`...
        recipes: files or names of shipped recipes.
        settings: sections (`trainer={"max_steps": 5}`) or dotted keys, from Python.
        overrides: dotted keys, from the command line.
        options: by the words of the command line (`domain`, `data`, `labels`...); None and empty ones were not given.

    Raises:
        ConfigError, PluginError: one line naming the key or name that is wrong.
    """
    given: dict[str, tuple[str, Any]] = {}
    for word, value in options.items():
        if value is None or (isinstance(value, list | tuple) and not value):
            continue
        given[_OPTIONS[word]] = (f"--{word}", _normal(word, value))
    flat = {**flatten(dict(settings or {})), **(overrides or {})}
    if command in _OTHERS:
        _refuse_keys_of_pretraining(command, flat)
    return compose(command, registry(), recipes=recipes, options=given, overrides=flat)


def _refuse_keys_of_pretraining(command: str, given: Iterable[str]) -> None:
    """A key that the command never reads is not taken in silence; those of recipes and stored runs are left alone.

    Raises:
        ConfigError: names the key and, where there is one, the command's own.
    """
    own = RunConfig.model_fields.get(command)
    keys = getattr(own.annotation, "model_fields", {}) if own is not None else {}
    for key in given:
        if key.startswith(_OF_PRETRAINING):
            last = key.rpartition(".")[2]
            same = _SAME.get(last, last)
            fix = f"write {command}.{same}" if same in keys else f"leave it out of {command}"
            raise ConfigError(f"{key} is a key of pretrain, which {command} does not read: {fix}")


def _normal(word: str, value: Any) -> Any:
    if word == "data":
        return [str(path) for path in ([value] if isinstance(value, str | Path) else value)]
    if word == "protocol":
        names = value.split(",") if isinstance(value, str) else value
        return [name.strip() for name in names if name.strip()]
    if word == "labels" and str(value) != "folders" and Path(value).exists():
        return str(Path(value).absolute())
    return value if isinstance(value, int) else str(value)


def for_pretraining(config: RunConfig) -> RunConfig:
    """Check that a pretraining run names a domain and that its objective fits domain and backbone.

    Settings may change what an objective needs; where some differ from its defaults, the trainer checks again with the
    objective's own plan.

    Raises:
        ConfigError, PluginError: what is missing and what would fit.
    """
    known = registry()
    if config.domain is None:
        raise PluginError(_no_domain(known))
    objective = known.objective(config.objective["name"])
    backbone = known.backbone(config.backbone["name"])
    if problem := missing_requirement(backbone):
        raise PluginError(problem)
    domain, everything = known.domain(config.domain), known.objectives()
    if objective.name == COMBINATION:
        changed = config.objective["settings"]
        weights = config.objective["parts"]
        parts = {name: known.objective(name).needs for name in weights if weights[name] and name not in changed}
        for name, needs in parts.items():
            check_fit(name, needs, domain, backbone, everything)
        if parts and not changed:
            check_given(objective.name, join(parts).plan, config.models)
    elif all(config.objective[setting.name] == setting.default for setting in objective.settings):
        check_fit(objective.name, objective.needs, domain, backbone, everything)
        check_given(objective.name, objective.needs, config.models)
    return config


def _no_domain(known: Registry) -> str:
    names = [domain.name for domain in known.domains()]
    if not names:
        return "no domain plugin is installed: for example pip install ssl-platform-medical3d"
    return f"name the kind of data with --domain; installed: {', '.join(names)}"


def resumed(run: str, recipes: Sequence[str], **given: Any) -> RunConfig:
    """The configuration of a run to continue: what it was started with, and only what may differ changed.

    Args:
        run: its folder. Without a `config.yaml` in it the run starts fresh.
        recipes: further recipes.
        given: as `configure`.

    Raises:
        ConfigError: something else was asked to change.
    """
    stored = Path(run) / "config.yaml"
    if not stored.is_file():
        if not Path(run).exists() and not recipes and not given.get("domain"):
            raise ConfigError(f"--resume --run {run}: there is no such run; to start it name the data with --domain")
        return configure("pretrain", recipes=recipes, run=run, **given)
    before = configure("pretrain", recipes=[str(stored)], run=run)
    after = configure("pretrain", recipes=[str(stored), *recipes], run=run, **given)
    old, new = (flatten(config.model_dump(mode="json", by_alias=True)) for config in (before, after))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key) and key not in RESUME_MAY_CHANGE:
            raise ConfigError(
                f"--resume cannot change {key} from {old.get(key)} to {new.get(key)}: "
                "start a new run with --init for longer training or other settings"
            )
    return after
