"""Needs against offers: what is missing, in words, and what would fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssl_platform.errors import ConfigError
from ssl_platform.plan import ModelSpec, Offer, Plan, Reads, ViewSpec
from ssl_platform.plugins import (
    BackboneDeclaration,
    DomainDeclaration,
    ObjectiveDeclaration,
    check_fit,
    fitting,
    missing,
)

VOLUMES = DomainDeclaration("volumes", "a:B", axes="C D H W", moves=("rot90:HW", "flip:W"), symmetries=("flip:W",))
POINTS = DomainDeclaration("points", "a:B", axes="N C")
VIT = BackboneDeclaration("vit", "a:B", offers=("tokens", "drop"), points=True)
NET = BackboneDeclaration("net", "a:B", offers=("pyramid",), ranks=(2,))
MAE = Plan.single(offers=("tokens", "drop"))
TWO = Plan.augmented(2)


def test_everything_offered_fits() -> None:
    assert missing(MAE, VOLUMES, VIT) == []
    assert missing(TWO, POINTS, VIT) == []


@pytest.mark.parametrize("offer", ["tokens", "drop"])
def test_backbone_offers(offer: Offer) -> None:
    assert missing(Plan(views=(ViewSpec(),), offers=(offer,)), None, NET) == [f"a backbone with {offer}"]


def test_rank_and_points() -> None:
    assert missing(TWO, VOLUMES, NET) == ["a backbone for grids of rank 3"]
    assert missing(TWO, POINTS, NET) == ["a backbone for point sets"]
    assert missing(TWO.replace(grid=True), POINTS) == ["items on a grid"]


def test_relations_parts_and_models() -> None:
    assert missing(TWO.replace(reads=Reads(2, "time")), VOLUMES) == ["reads related by time"]
    assert missing(TWO.replace(reads=Reads(2, "table")), VOLUMES) == [], "a table is given by the user"
    assert missing(TWO.replace(parts=("main", "text")), VOLUMES) == ["the part 'text'"]
    assert missing(TWO.replace(models=(("tower", ModelSpec("text")),)), VOLUMES) == ["a text model (tower)"]
    assert missing(TWO.replace(models=(("teacher", ModelSpec("frozen")),)), VOLUMES) == []


def test_a_pretext_whose_answer_is_a_symmetry_is_unfit() -> None:
    assert missing(TWO.replace(pretext=("rot90",)), VOLUMES) == []
    told = "whose answer can be told (here it is a symmetry)"
    assert missing(TWO.replace(pretext=("flip",)), VOLUMES) == [f"a flip {told}"]
    assert missing(TWO.replace(pretext=("flip", "shuffle")), VOLUMES) == [f"a flip {told}"]
    assert missing(TWO.replace(pretext=("flip", "rot90")), VOLUMES) == []
    assert missing(TWO.replace(pretext=("shuffle",)), VOLUMES) == ["the move shuffle"]


def test_channels_are_missed_where_the_declaration_knows_them() -> None:
    two = TWO.replace(min_channels=2)
    assert missing(two, VOLUMES) == [], "their number varies with the data"
    assert missing(two, replace(VOLUMES, channels=1)) == ["at least 2 channels"]
    assert missing(two, replace(VOLUMES, channels=2)) == []


def test_the_error_says_what_is_missing_and_what_fits() -> None:
    objectives = [ObjectiveDeclaration("mae", "a:B", needs=MAE), ObjectiveDeclaration("simclr", "a:B", needs=TWO)]
    flat = DomainDeclaration("flat", "a:B", axes="C H W")
    assert fitting(objectives, flat, NET) == ["simclr"]
    with pytest.raises(ConfigError, match=r"'mae' needs a backbone with tokens, .* objectives that fit: simclr"):
        check_fit("mae", MAE, flat, NET, objectives)
