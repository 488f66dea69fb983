"""The parts of a combination: their classes and settings, and who moves what when they train one encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from torch import nn

from ssl_platform.config.messages import config_error
from ssl_platform.errors import ConfigError, did_you_mean
from ssl_platform.joint_plan import COMBINATION
from ssl_platform.objectives.base import ObjectiveConfig, Player
from ssl_platform.objectives.load import load_objective


def part_configs(parts: Mapping[str, float], settings: Mapping[str, Mapping[str, Any]]) -> dict[str, ObjectiveConfig]:
    """The settings of every part, its paper's defaults filled in.

    Args:
        parts: weight of each objective, by name; those of weight 0 are left out.
        settings: what differs from the defaults, by the objective's name.

    Raises:
        ConfigError: no parts, a weight below zero, a combination as a part, or a setting that is wrong.
        PluginError: no such objective.
    """
    if not any(parts.values()):
        raise ConfigError("objective.parts is empty: name objectives and weights, e.g. objective.parts.mae=1")
    for part, weight in parts.items():
        if part == COMBINATION or weight < 0:
            why = "a combination cannot hold a combination" if part == COMBINATION else "a weight is at least 0"
            raise ConfigError(f"objective.parts.{part}={weight}: {why}")
    for part in settings:
        if part not in parts:
            close = did_you_mean(part, parts)
            raise ConfigError(f"objective.settings.{part}: {part!r} is not among the parts {', '.join(parts)}{close}")
    return {part: _config(part, settings.get(part, {})) for part, weight in parts.items() if weight}


def _config(part: str, settings: Mapping[str, Any]) -> ObjectiveConfig:
    kind, prefix = load_objective(part), f"objective.settings.{part}."
    try:
        return kind.Config(**settings)
    except ValidationError as error:
        raise config_error(error, [f"{prefix}{name}" for name in kind.Config.model_fields], prefix=prefix) from None


def joint_players(players: Mapping[str, list[Player]], extra: nn.Module) -> list[Player]:
    """One list of players: parameters that move alike in all parts form the player `main`.

    A parameter several parts train (the encoder's) moves as the first part that names it says.

    Args:
        players: of each part, in order.
        extra: further modules that move with `main`.
    """
    main = Player("main", [*extra.parameters()])
    found, seen = [main], set[int]()
    for part, those in players.items():
        for player in those:
            own = list(_new(player.parameters, seen))
            if _like(player, main):
                main.parameters.extend(own)
            elif own:
                found.append(replace(player, name=f"{part}.{player.name}", parameters=own))
    return [player for player in found if player.parameters]


def _new(parameters: Iterable[nn.Parameter], seen: set[int]) -> Iterable[nn.Parameter]:
    for parameter in parameters:
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield parameter


def _like(a: Player, b: Player) -> bool:
    """Whether two players differ in their parameters alone."""
    return (a.lr, a.weight_decay, a.betas, a.clip, a.active) == (b.lr, b.weight_decay, b.betas, b.clip, b.active)
