"""Dense decoders on encoders of any rank: each learns a batch by heart, on views of sizes that no patch divides."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ssl_platform.nn.backbone import Backbone
from ssl_platform.nn.backbones import build
from ssl_platform.nn.dense.build import build_decoder, fitting
from ssl_platform.nn.dense.maps import at_stride, evenly, halvings, source_of
from ssl_platform.testing.toy import toy_layout
from ssl_platform.types import View

KINDS = {
    1: ((37,), (8,)),
    2: ((22, 17), (8, 4)),
    3: ((6, 9, 7), (2, 4, 4)),
}


def made(name: str, size: tuple[int, ...], patch: tuple[int, ...]) -> tuple[Backbone, View]:
    torch.manual_seed(0)
    settings = {"dim": 24, "depth": 4, "heads": 2} if name == "vit-pico" else {"width": 8}
    rank = len(size)
    net = build(name, toy_layout(rank), ("c0",), size, patch, **settings).eval()
    return net, View(torch.randn(2, 1, *size), channels=("c0",), spacing=torch.ones(2, rank))


def target_of(size: tuple[int, ...], patch: tuple[int, ...]) -> torch.Tensor:
    """`[2, *size]` classes that are alike within a patch."""
    coarse = torch.randint(0, 3, (2, *(-(-n // p) for n, p in zip(size, patch, strict=True))))
    for axis, (n, p) in enumerate(zip(size, patch, strict=True), 1):
        coarse = coarse.repeat_interleave(p, dim=axis).narrow(axis, 0, n)
    return coarse


@pytest.mark.parametrize("rank", KINDS)
@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("vit-pico", "linear"),
        ("vit-pico", "fpn"),
        ("vit-pico", "unetr"),
        ("convnet-tiny", "linear"),
        ("convnet-tiny", "fpn"),
        ("convnet-tiny", "skip"),
    ],
)
def test_a_batch_is_learnt_by_heart(rank: int, name: str, decoder: str) -> None:
    size, patch = KINDS[rank]
    net, view = made(name, size, patch)
    head = build_decoder(decoder, source_of(net, view), 3, 4)
    target = target_of(size, patch)
    optimizer = torch.optim.Adam([*net.parameters(), *head.parameters()], 2e-2)
    goal = 0.6 if decoder == "linear" else 0.9
    for step in range(120):
        features = net(view, taps=head.taps) if head.taps else net(view)
        logits = head(features, net.normalise(view).x)
        assert logits.shape == (2, 3, *size)
        loss = F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = float((logits.argmax(1) == target).float().mean())
        if step > 0 and right > goal:
            break
    assert all(p.grad is not None for p in head.parameters()), "no part of a decoder is idle"
    assert right > goal, f"{right:.3f}, loss {float(loss.detach()):.3f}"


@pytest.mark.parametrize("patch", [(1, 1), (6, 6), (14, 7), (16, 16)])
@pytest.mark.parametrize("decoder", ["linear", "fpn", "unetr"])
def test_patches_of_any_size(patch: tuple[int, int], decoder: str) -> None:
    size = (20, 18) if patch == (1, 1) else (45, 33)
    net, view = made("vit-pico", size, patch)
    source = source_of(net, view)
    assert source.strides == (patch,) and source.plain and source.prefix == 1
    head = build_decoder(decoder, source, 2, 2)
    assert head(net(view, taps=head.taps), view.x).shape == (2, 2, *size)


def test_auto_takes_what_fits_and_others_say_why_they_do_not() -> None:
    vit, view = made("vit-pico", (22, 17), (8, 4))
    plain = source_of(vit, view)
    net, _ = made("convnet-tiny", (22, 17), (8, 4))
    hierarchical = source_of(net, view)
    assert hierarchical.strides == ((2, 1), (4, 2), (8, 4)) and not hierarchical.plain
    vit.offers = vit.offers - {"taps"}
    single = source_of(vit, view)
    assert [fitting(source) for source in (plain, hierarchical, single)] == ["unetr", "skip", "fpn"]
    for source in (plain, hierarchical, single):
        assert build_decoder("auto", source, 2).name == fitting(source)
    wrong = {"skip": (plain, "vit-pico has one; use unetr"), "unetr": (hierarchical, "is none; use skip, fpn, linear")}
    for name, (source, why) in wrong.items():
        with pytest.raises(ValueError, match=why):
            build_decoder(name, source, 2)
    with pytest.raises(ValueError, match="is none; use fpn, linear or auto"):
        build_decoder("unetr", single, 2)


def test_blocks_are_taken_in_equal_steps_and_strides_halve() -> None:
    assert evenly(12, 4) == ("block.2", "block.5", "block.8", "block.11")  # the blocks of UNETR
    assert evenly(1, 3) == ("block.0",) * 3
    assert halvings((2, 16)) == [(1, 1), (1, 2), (1, 4), (1, 8), (2, 16)]
    assert halvings((14,)) == [(1,), (2,), (4,), (7,), (14,)]


def test_a_map_stays_over_what_it_describes() -> None:
    """A ramp over the view, averaged to any stride, is that ramp again where it is interpolated."""
    ramp = torch.arange(64.0)
    for stride in (2, 4, 8):
        size = 64 - stride // 2 - 1  # the last cell of the map reaches beyond the view
        coarse = ramp.view(1, 1, -1, stride).mean(-1)[..., : -(-size // stride)]
        fine = at_stride(coarse, (stride,), (1,), (size,))[0, 0]
        assert fine.shape == (size,)
        inner = slice(stride, size - stride)
        torch.testing.assert_close(fine[inner], ramp[:size][inner])
