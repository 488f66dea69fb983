"""`--init`: what is taken over, what is resized, and that every name is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_platform.encoder import load_encoder
from ssl_platform.errors import ConfigError
from ssl_platform.train.initial import resize_positions


def ramp(*grid: int) -> torch.Tensor:
    """`[1, prod(grid), S]`: each token holds its place, in fractions of the view."""
    axes = torch.meshgrid(*[(torch.arange(n) + 0.5) / n for n in grid], indexing="ij")
    return torch.stack(axes, dim=-1).reshape(1, -1, len(grid))


@pytest.mark.parametrize(("before", "now"), [((4,), (8,)), ((4, 6), (8, 3)), ((2, 4, 4), (4, 8, 4))])
def test_positions_keep_their_axes_and_prefix_tokens_stay(before: tuple[int, ...], now: tuple[int, ...]) -> None:
    prefix = torch.full((1, 2, len(now)), 7.0)
    given, expected = (torch.cat([prefix, ramp(*grid)], dim=1) for grid in (before, now))
    found = resize_positions(given, tuple(expected.shape), before, now)
    assert found is not None and torch.equal(found[:, :2], prefix)
    inside = ((expected > 0.25) & (expected < 0.75)).all(dim=-1)  # linear: exact but for the edges, which are clamped
    torch.testing.assert_close(found[inside], expected[inside])
    assert (found - expected).abs().max() < 0.26 or not inside.all()


def test_what_is_no_table_of_positions_is_left_alone() -> None:
    table = torch.zeros(27, 4)  # relative positions of windows of two cells
    assert resize_positions(table, (125, 4), (4, 4), (8, 8)) is None
    assert resize_positions(torch.zeros(1, 16, 4), (1, 64, 8), (4, 4), (8, 8)) is None
    assert resize_positions(torch.zeros(1, 16, 4), (1, 64, 4), (16,), (8, 8)) is None


def test_every_name_is_told(toy_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy_run("mae", "first", trainer__max_steps=1)
    kept = load_encoder(tmp_path / "first").model.state_dict()
    capsys.readouterr()
    given = {"init": str(tmp_path / "first"), "licence": "CC-BY-4.0"}
    toy_run("mae", "second", backbone__depth=2, trainer__max_steps=1, **given)
    second = load_encoder(tmp_path / "second")
    assert second.record.licence == "CC-BY-4.0" and second.record.terms["initial_weights"] == given["init"]
    assert json.loads((tmp_path / "first" / "encoder.json").read_text())["licence"] == "unset"
    deeper = second.model.state_dict()
    events = (tmp_path / "second" / "events.log").read_text(encoding="utf-8")
    told = {word: events.split(f"init: {word}: ")[1].splitlines()[0].split(", ") for word in ("matched", "missing")}
    assert set(told["matched"]) == set(kept) and set(told["missing"]) == set(deeper) - set(kept)
    assert f"{len(kept)} tensors matched, 0 resized, {len(deeper) - len(kept)} missing" in capsys.readouterr().out


def test_weights_that_fit_nowhere_are_refused(toy_run: Callable[..., Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    toy_run("mae", "first", trainer__max_steps=1)
    path = tmp_path / "first" / "encoder.safetensors"
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        about = file.metadata()
    save_file({f"{name}.other": value for name, value in load_file(path).items()}, path, metadata=about)
    with pytest.raises(ConfigError, match=r"--init .*first.*: nothing of 'vit-pico' fits this backbone"):
        toy_run("mae", "second", init=str(tmp_path / "first"), trainer__max_steps=1)
