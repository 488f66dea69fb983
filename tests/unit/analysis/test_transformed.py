"""Views with one change only: nothing else differs from the clean view, and every sample gets it."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from ssl_platform.analysis.transformed import SureDraws, Transformed, effective, redrawn, transformations
from ssl_platform.config.schema import RunConfig
from ssl_platform.draws import Draws
from ssl_platform.plan import Plan
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.types import Channel, Layout
from ssl_platform.views.maker import ViewMaker
from ssl_platform.views.operation import Context, Operation, between, drawn, where_drawn


@dataclass(frozen=True)
class Lift(Operation):
    name: ClassVar[str] = "lift"

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        move = where_drawn(drawn(draws, 0.1), between(draws, "move", 0.01, 0.01 + 0.1 * context.strength, 1), 0.0)
        return x + context.spread(move), {"move": move}


@dataclass(frozen=True)
class Window(Operation):
    """A display window every view goes through; it jitters where views are augmented."""

    name: ClassVar[str] = "window"
    always: ClassVar[bool] = True

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        edge = 0.6 - 0.2 * context.strength * draws.uniform("edge", 1)
        return torch.minimum(x, context.spread(edge)), {"edge": edge}


@dataclass(frozen=True)
class Nothing(Operation):
    name: ClassVar[str] = "nothing"

    def apply(self, x: Tensor, context: Context, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        return x, {}


def opened(layout: Layout, window: tuple[int, ...], *operations: Operation) -> Any:
    row = SimpleNamespace(channels=("x", "y", "z") if layout.points else ("c0",))
    domain = SimpleNamespace(layout=layout, views=lambda: operations)
    data = SimpleNamespace(domain=domain, catalog=SimpleNamespace(row=lambda _: row))
    maker = ViewMaker(layout, Plan.augmented(1), operations=operations, window=window)
    return SimpleNamespace(data=data, maker=maker, window=window, config=RunConfig())


def layout(*symmetries: str) -> Layout:
    return Layout("C H W", (Channel("c0", bounds=(0.0, 1.0)),), symmetries=frozenset(symmetries))


def test_what_the_domain_names_is_listed_and_what_does_nothing_left_out() -> None:
    data = opened(
        layout("gain", "noise", "blur", "scale", "rotate:HW", "flip:W"), (16, 16), Lift(), Window(), Nothing()
    )
    found = transformations(data)
    assert found == ("lift", "window", "nothing", "gain", "noise", "blur", "scale", "rotate")
    assert effective(data, found, toy_batch(4)) == tuple(name for name in found if name != "nothing")


@pytest.mark.parametrize("name", ["lift", "gain", "noise", "blur"])
def test_an_intensity_changes_every_sample_and_nothing_else(name: str) -> None:
    data, batch = opened(layout("gain", "noise", "blur", "scale", "flip:W"), (16, 16), Lift(), Window()), toy_batch(32)
    clean, changed = data.maker.clean(batch), Transformed(data, name).clean(redrawn(batch, 0))
    assert (changed.x != clean.x).flatten(1).any(1).all(), "whatever its usual probability"
    assert changed.geometry is not None and clean.geometry is not None
    assert torch.equal(changed.geometry.matrix, clean.geometry.matrix)
    assert torch.equal(changed.geometry.offset, clean.geometry.offset)
    other = Transformed(data, name).clean(redrawn(batch, 1))
    assert not torch.equal(other.x, changed.x)
    assert torch.equal(Transformed(data, name).clean(redrawn(batch, 0)).x, changed.x)


def test_strength_is_the_operation_s_and_display_windows_stand_still() -> None:
    data, batch = opened(layout(), (16, 16), Lift(), Window()), toy_batch(16)
    weak, strong = (Transformed(data, "lift", s).clean(redrawn(batch, 0)) for s in (0.5, 2.0))
    assert (weak.params["lift.move"] <= 0.06).all() and strong.params["lift.move"].max() > 0.06
    assert "window.edge" not in weak.params
    assert (weak.x <= 0.6).all() and weak.x.max() == pytest.approx(0.6), "the exact window, no jitter"
    assert Transformed(data, "window").clean(redrawn(batch, 0)).params["window.edge"].unique().numel() > 1


def test_scale_covers_half_of_the_volume() -> None:
    data, batch = opened(layout("scale", "gain"), (16, 16)), toy_batch(8)
    for strength in (1.0, 2.0):
        view = Transformed(data, "scale", strength).clean(redrawn(batch, 0))
        assert view.geometry is not None
        share = torch.linalg.det(view.geometry.matrix).abs() / 16**2
        assert share.tolist() == pytest.approx([0.5**strength] * 8, rel=1e-4)


def test_point_sets() -> None:
    data = opened(toy_layout(points=True), (64,))
    assert transformations(data) == ("points", "noise", "scale", "rotate")
    batch = toy_batch(4, points=True)
    clean, noisy = data.maker.clean(batch), Transformed(data, "noise").clean(redrawn(batch, 0))
    assert noisy.x.shape == clean.x.shape and not torch.equal(noisy.x, clean.x)
    again = Transformed(data, "points").clean(redrawn(batch, 0))
    assert torch.equal(again.x, clean.x), "as many points as the view takes: nothing to draw"


def test_sure_draws_are_the_draws_but_for_applying() -> None:
    plain = Draws.at(0, torch.arange(6))
    sure = SureDraws(plain.keys)
    assert sure.chance("apply", 0.0, 1).all() and sure.child("a").chance("apply", 0.0, 2).all()
    assert torch.equal(sure.chance("drop", 0.5, 3), plain.chance("drop", 0.5, 3))
    assert torch.equal(sure.child("a").uniform("x"), plain.child("a").uniform("x"))
