"""The manifest is what the objective files say."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from ssl_platform.errors import PluginError
from ssl_platform.objectives.base import Objective, ObjectiveConfig
from ssl_platform.objectives.manifest import MANIFEST, attributes_of, core_objectives, main, manifest_text, record_of
from ssl_platform.plan import Plan
from ssl_platform.plugins import ObjectiveDeclaration


class Toy(Objective):
    """A toy.

    Nothing else.
    """

    name, family, paper = "toy", "toys", "nobody"
    needs = Plan.augmented(3)

    class Config(ObjectiveConfig):
        """Settings.

        Attributes:
            kind: which, over
                two lines.
            a, b: both.
        """

        kind: Literal["x", "y"] = "x"
        a: float = Field(0.5, ge=0, lt=1)
        b: tuple[int, ...] | None = None
        c: int = Field(3, description="own words")


def test_the_manifest_is_current() -> None:
    assert MANIFEST.read_text(encoding="utf-8") == manifest_text(), "run python -m ssl_platform.objectives.manifest"
    assert main(["--check"]) == 0


def test_a_record_holds_what_the_class_says() -> None:
    record = record_of(Toy)
    assert record["summary"] == "A toy."
    assert record["factory"].endswith(":Toy")
    settings = {setting["name"]: setting for setting in record["settings"]}
    assert (
        settings["kind"]["type"] == "Literal['x', 'y']" and settings["kind"]["description"] == "which, over two lines."
    )
    assert settings["a"]["bounds"] == {"ge": 0, "lt": 1} and settings["a"]["description"] == "both."
    assert settings["b"]["type"] == "tuple[int, ...] | None" and settings["b"]["default"] is None
    assert settings["c"]["description"] == "own words"
    assert ObjectiveDeclaration.from_record(record).needs == Toy.needs


def test_settings_outside_the_grammar_are_refused() -> None:
    class Odd(Toy):
        class Config(ObjectiveConfig):
            when: complex = 1j

    with pytest.raises(PluginError, match="outside the grammar"):
        record_of(Odd)

    class Bare(Toy):
        class Config(ObjectiveConfig):
            must: int

    with pytest.raises(PluginError, match="must has no default"):
        record_of(Bare)


def test_every_objective_gives_its_paper_and_a_summary() -> None:
    for objective in core_objectives():
        record = record_of(objective)
        assert record["paper"] and record["summary"] and record["family"], objective.name


def test_no_attributes_section_is_no_description() -> None:
    assert attributes_of(ObjectiveConfig) == {}
