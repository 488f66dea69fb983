"""Collectors do not depend on how items are batched, on grids of any rank and on point sets."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ssl_platform.analysis.attention import attend
from ssl_platform.analysis.frequency import Frequency
from ssl_platform.analysis.layers import LayerOutput, layer_outputs, taps_of
from ssl_platform.analysis.looks import Collector
from ssl_platform.analysis.spread import Spread
from ssl_platform.analysis.tokens import TokenNorms
from ssl_platform.encoder import Encoder, build_backbone
from ssl_platform.nn.spec import BackboneSpec
from ssl_platform.plan import Plan
from ssl_platform.testing.toy import toy_batch, toy_layout
from ssl_platform.views.maker import ViewMaker


def net(rank: int, points: bool = False, **settings: Any) -> tuple[Any, ViewMaker]:
    layout = toy_layout(rank, points=points)
    window = (64,) if points else (16,) * rank
    patch = (8,) if points else (4,) * rank
    channels = tuple(channel.name for channel in layout.channels)
    small = {"dim": 24, "depth": 2, "heads": 2, **settings}
    torch.manual_seed(0)
    model = build_backbone(BackboneSpec("vit-pico", layout, channels, window, patch, small)).eval()
    return model, ViewMaker(layout, Plan.augmented(1), window=window)


@pytest.mark.parametrize(("rank", "points"), [(1, False), (2, False), (3, False), (3, True)])
def test_batches_do_not_matter(rank: int, points: bool) -> None:
    model, maker = net(rank, points)
    subject: Any = SimpleNamespace()
    answers = []
    for size in (6, 2):
        collectors: list[Collector] = [Spread(subject), TokenNorms(subject), Frequency(subject)]
        for start in range(0, 6, size):
            view = maker.clean(toy_batch(size, rank, points=points, start=start))
            with torch.no_grad():
                layers = layer_outputs(model, view, model(view, taps=taps_of(model)))
            for collector in collectors:
                collector.add(np.arange(start, start + size), layers)
        answers.append([reading for collector in collectors for reading in collector.readings()])
    assert [a.key for a in answers[0]] == [b.key for b in answers[1]]
    values = [[r.value for r in own] for own in answers]
    assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-5)
    measures = {reading.measure for reading in answers[0]}
    assert ("high_frequency" in measures) != points, "point sets lie on no grid"
    assert {reading.at for reading in answers[0]} == {"block 0", "block 1", "output"}


@pytest.mark.parametrize(("rank", "points"), [(2, False), (3, False), (3, True)])
def test_attention_of_any_tokens_in_any_batches(rank: int, points: bool) -> None:
    model, maker = net(rank, points)
    answers = []
    for size in (6, 2):
        subject: Any = Watched(model, maker, rank, points, size)
        answers.append({reading.key[1:]: reading for reading in attend(subject)})
    assert set(answers[0]) == set(answers[1])
    for key, reading in answers[0].items():
        assert reading.value == pytest.approx(answers[1][key].value, rel=1e-4, abs=1e-5)
    for block in ("block 0", "block 1"):
        nmi, distance = (answers[0][block, f"attention_{word}"].value for word in ("nmi", "distance"))
        assert nmi is not None and 0 <= nmi <= 1
        assert distance is not None and 0 < distance < rank**0.5
        assert len(answers[0][block, "attention_distance"].parts["heads"]) == 2
        assert ((block, "offset_heads") in answers[0]) != points


class Watched:
    """Six items in batches of one size, as an analysis sees its subject."""

    def __init__(self, model: Any, maker: ViewMaker, rank: int, points: bool, size: int) -> None:
        self.rows, self.encoder = np.arange(6), Encoder(model, None)  # type: ignore[arg-type]
        self.maker, self.batch = maker, (size, rank, points)

    def views(self, rows: np.ndarray, title: str, batch_size: int = 16) -> Iterator[tuple[Any, Any]]:
        size, rank, points = self.batch
        for start in range(0, len(rows), min(size, len(rows))):
            batch = toy_batch(min(size, len(rows)), rank, points=points, start=start)
            yield batch, self.maker.clean(batch)


def test_layers_are_pooled_as_the_output_is() -> None:
    """The last block under the final norm is the output, for class tokens and for means."""
    for pool in ("cls", "mean"):
        model, maker = net(2, pool=pool, registers=2)
        view = maker.clean(toy_batch(3))
        with torch.no_grad():
            features = model(view, taps=taps_of(model))
            layers = layer_outputs(model, view, features)
            last = features.taps["block.1"]
        own = last[:, 0] if pool == "cls" else last[:, 3:].mean(1)
        torch.testing.assert_close(layers["block 1"].pooled, own)
        torch.testing.assert_close(layers["output"].pooled, features.pooled)
        assert layers["block 1"].tokens is not None and layers["block 1"].tokens.shape[1] == 16


def test_one_token_of_far_larger_norm_is_found() -> None:
    subject: Any = SimpleNamespace()
    norms = TokenNorms(subject)
    tokens = torch.nn.functional.normalize(torch.randn(10, 50, 8), dim=-1) * (1 + 0.05 * torch.rand(10, 50, 1))
    tokens[:, 7] *= 20
    norms.add(np.arange(10), {"block 0": LayerOutput(tokens.mean(1), tokens, None, None)})
    found = {reading.measure: reading for reading in norms.readings()}
    assert found["norm_outliers"].value == pytest.approx(1 / 50)
    assert found["largest_norm"].value is not None and found["largest_norm"].value > 18
    assert sum(found["norm_outliers"].parts["counts"]) == 500


def test_a_layer_that_is_mostly_dead_has_no_norm_to_compare_with() -> None:
    subject: Any = SimpleNamespace()
    norms = TokenNorms(subject)
    tokens = torch.zeros(3, 20, 8)
    tokens[:, :4] = 1
    norms.add(np.arange(3), {"stage 0": LayerOutput(tokens.mean(1), tokens, None, None)})
    found = {reading.measure: reading for reading in norms.readings()}
    assert found["largest_norm"].value is None and not found["norm_outliers"].parts
