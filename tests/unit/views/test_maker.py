"""The whole maker: provenance, independence of the batch, copies, validity, precision, no waiting."""

from dataclasses import replace

import pytest
import torch

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.draws import Draws
from ssl_platform.errors import ConfigError
from ssl_platform.plan import Plan, Reads, ViewSpec
from ssl_platform.testing.sync import forbid_sync
from ssl_platform.types import Batch, Channel, Layout, PartBatch, View
from ssl_platform.views.maker import ViewMaker, read_size
from ssl_platform.views.operation import Operation

INTENSITY = frozenset({"gain", "offset", "gamma", "blur", "noise", "channel-drop", "cutout"})
AXES = {1: "C T", 2: "C H W", 3: "C D H W"}
GEOMETRIC = {
    1: frozenset({"flip:T", "scale"}),
    2: frozenset({"flip:W", "rot90:HW", "rotate:HW", "scale"}),
    3: frozenset({"flip:W", "flip:H", "rot90:HW", "rotate:HW", "rotate:DH", "scale"}),
}
EVERYTHING = Plan(
    views=(
        ViewSpec(count=2),
        ViewSpec(role="local", count=2, inside="global"),
        ViewSpec(role="pair", count=2, overlap=0.5),
        ViewSpec(role="same", count=2, like="global"),
        ViewSpec(role="twin", like="global", like_what="both"),
        ViewSpec(role="plain", photometric=False, flips=False),
        ViewSpec(role="chunked", draw="chunk", chunk=2),
        ViewSpec(role="target", clean=True),
    )
)


def layout_of(rank, symmetries=None, **facts):
    return Layout(AXES[rank], symmetries=GEOMETRIC[rank] | INTENSITY if symmetries is None else symmetries, **facts)


def batch_of(rank, size, rows=slice(0, 4), valid=False, junk=0.0, dtype=torch.int16, channels=2):
    generator = torch.Generator().manual_seed(rank)
    data = (torch.randn(4, channels, *size, generator=generator) * 300).round()
    mask = torch.rand(4, *size, generator=generator) < 0.95 if valid else None
    if mask is not None:
        data = torch.where(mask[:, None], data, torch.full_like(data, junk))
    index = torch.arange(4)[rows]
    part = PartBatch(
        data=data[rows].to(dtype),
        valid=None if mask is None else mask[rows],
        channel_valid=None,
        spacing=torch.tensor([[2.0, 1.0, 1.0]])[:, -rank:].expand(4, -1)[rows],
        origin=torch.arange(4.0)[:, None].expand(-1, rank)[rows],
        channels=tuple(f"c{i}" for i in range(channels)),
    )
    return Batch(({"main": part},), index * 3, index + 10, index + 100, {"age": index.float()}, index % 2)


def build(rank, plan=EVERYTHING, rotate=0.0, layout=None, **settings):
    layout = layout_of(rank) if layout is None else layout
    config = ViewsConfig(rotate=rotate, **settings.pop("config", {}))
    return ViewMaker(layout, plan, config, window=(16,) * rank, size_multiple=4, **settings)


CASES = [(1, 0.0), (2, 0.0), (2, 20.0), (3, 0.0), (3, 20.0)]


def same(a: View, b: View, rows=slice(None)):
    assert a.x[rows].equal(b.x), a.role
    assert (a.valid is None and b.valid is None) or a.valid[rows].equal(b.valid)
    assert a.geometry.matrix[rows].equal(b.geometry.matrix) and a.geometry.offset[rows].equal(b.geometry.offset)
    assert set(a.params) == set(b.params)
    assert all(a.params[name][rows].equal(b.params[name]) for name in a.params)
    assert a.draws.keys[rows].equal(b.draws.keys)


@pytest.mark.parametrize(("rank", "rotate"), CASES)
@pytest.mark.parametrize("valid", [False, True])
def test_views_do_not_depend_on_how_samples_are_batched(rank, rotate, valid):
    maker = build(rank, rotate=rotate)
    size = maker.read_size
    whole = maker(batch_of(rank, size, valid=valid))
    parts = [maker(batch_of(rank, size, rows, valid=valid)) for rows in (slice(0, 2), slice(2, 4))]
    for k, view in enumerate(whole):
        same(view, parts[0][k], slice(0, 2))
        same(view, parts[1][k], slice(2, 4))
    again = build(rank, rotate=rotate)(batch_of(rank, size, valid=valid))
    other = build(rank, rotate=rotate, seed=1)(batch_of(rank, size, valid=valid))
    assert again[0].x.equal(whole[0].x) and not other[0].x.equal(whole[0].x)


@pytest.mark.parametrize(("rank", "rotate"), CASES)
def test_invalid_values_change_nothing(rank, rotate):
    maker = build(rank, rotate=rotate)
    given = [
        batch_of(rank, maker.read_size, valid=True, junk=junk, dtype=torch.float32) for junk in (0.0, 1e6, torch.nan)
    ]
    views = [[*maker(batch), maker.clean(batch)] for batch in given]
    for first, second, third in zip(*views, strict=True):
        assert not first.valid.all()
        same(first, second)
        same(first, third)


@pytest.mark.parametrize(("rank", "rotate"), CASES)
def test_nothing_waits_for_the_device(rank, rotate):
    maker = build(rank, rotate=rotate)
    batch = batch_of(rank, maker.read_size, valid=True)
    with forbid_sync():
        maker(batch)
        maker.clean(batch)


def test_provenance_is_filled():
    maker = build(3, plan=replace(EVERYTHING, labels="optional"))
    batch = batch_of(3, maker.read_size)
    views = maker(batch)
    assert [v.role for v in views] == [s.role for s in EVERYTHING.views for _ in range(s.count)]
    for view in views:
        assert view.index is batch.index and view.group is batch.group and view.label is batch.label
        assert view.channels == ("c0", "c1") and view.meta["age"].equal(batch.meta["age"])
        assert view.x.dtype == torch.float32 and view.x.shape[:2] == (4, 2)
        assert all(p.shape[0] == 4 and p.ndim == 2 for p in view.params.values())
        torch.testing.assert_close(
            view.spacing * torch.tensor(view.x.shape[2:]), view.geometry.matrix.square().sum(1).sqrt()
        )
    keys = torch.stack([v.draws.keys for v in views])
    assert keys.unique().numel() == keys.numel()
    wanted = {"crop.centre", "crop.extent", "crop.flip", "crop.quarter", "blur.sigma", "gain.factor", "noise.std"}
    assert wanted <= set(views[0].params) and not {"gain.factor", "blur.sigma"} & set(views["plain"][0].params)


def test_labels_reach_views_only_where_the_plan_asks():
    maker = build(2)
    assert all(v.label is None for v in maker(batch_of(2, maker.read_size)))
    assert maker.clean(batch_of(2, maker.read_size)).label is None


@pytest.mark.parametrize("rotate", [0.0, 20.0])
def test_views_that_follow_others(rotate):
    maker = build(3, rotate=rotate, config={"off": ["rot90"]})
    views = maker(batch_of(3, maker.read_size))
    first, second = views["global"]
    for local in views["local"]:
        assert local.geometry.overlap(first.geometry).min() > 0.99 and local.x.shape[2:] == (8, 8, 8)
    assert views["pair"][1].geometry.overlap(views["pair"][0].geometry).min() > 0.47
    for copy, original in zip(views["same"], (first, second), strict=True):
        assert copy.geometry.matrix.equal(original.geometry.matrix)
        assert not copy.x.equal(original.x)  # photometry of its own
    assert views["twin"][0].x.equal(first.x)
    assert not first.x.equal(second.x)


def test_shared_draws():
    plan = Plan(
        views=(
            ViewSpec(role="chunk", draw="chunk", chunk=2),
            ViewSpec(role="batch", draw="batch"),
            ViewSpec(role="sample", draw="chunk", chunk=1),
        )
    )
    maker = build(2, plan=plan)
    batch = batch_of(2, maker.read_size)
    shared = batch_of(2, maker.read_size, rows=torch.tensor([0, 0, 0, 0]))
    shared.position, shared.reads[0]["main"].origin = batch.position, torch.zeros(4, 2)
    chunk, whole, sample = maker(shared)
    assert chunk.x[0].equal(chunk.x[1]) and chunk.x[2].equal(chunk.x[3]) and not chunk.x[0].equal(chunk.x[2])
    assert all(whole.x[0].equal(x) for x in whole.x)
    assert not sample.x[0].equal(sample.x[1])
    assert chunk.draws.keys.unique().numel() == 4  # masks stay each sample's own
    batches = build(2, plan=plan, batch_size=4)
    halves = [batches(batch_of(2, maker.read_size, rows))["batch"][0] for rows in (slice(0, 2), slice(2, 4))]
    assert torch.cat([h.params["crop.centre"] for h in halves]).unique(dim=0).shape[0] == 1


def test_bfloat16_and_autocast():
    maker = build(3)
    batch = batch_of(3, maker.read_size)
    plain = maker(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = maker(batch)
    half = build(3, dtype=torch.bfloat16)(batch)
    for a, b, c in zip(plain, cast, half, strict=True):
        assert b.x.equal(a.x) and c.x.dtype == torch.bfloat16
        assert c.x.equal(a.x.bfloat16()) and c.geometry.matrix.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float16, torch.float32])
def test_clean_views_are_the_centre_as_stored(dtype):
    maker = build(3)
    batch = batch_of(3, (20, 18, 16), dtype=dtype)
    clean = maker.clean(batch)
    assert clean.x.equal(batch.reads[0]["main"].data[:, :, 2:18, 1:17].float()) and clean.valid is None
    assert clean.role == "clean" and clean.spacing.equal(batch.reads[0]["main"].spacing)
    torch.testing.assert_close(clean.geometry.offset, torch.arange(4.0)[:, None] + torch.tensor([4.0, 1.0, 0.0]))
    padded = maker.clean(batch, size=(20, 20, 20))
    assert padded.valid[:, :, 1:19, 2:18].all() and padded.valid.sum() == 4 * 20 * 18 * 16


def test_ragged_channels_stay_absent():
    maker = build(2, layout=layout_of(2, ragged_channels=True))
    batch, junk = batch_of(2, (16, 16), channels=3), batch_of(2, (16, 16), channels=3)
    present = torch.tensor([[True, True, False], [True, False, True]] * 2)
    for number, given in enumerate((batch, junk)):
        part = given.reads[0]["main"]
        part.channel_valid = present
        part.data = torch.where(present[:, :, None, None], part.data, 1000 * number)
    for view, other in zip(maker(batch), maker(junk), strict=True):
        assert view.channel_valid is present and view.x.equal(other.x)
        assert (view.x[~present] == 0).all()


def test_related_reads_and_parts():
    plan = Plan(
        views=(ViewSpec(), ViewSpec(role="later", read=1), ViewSpec(role="fine", part="fine", like="global")),
        reads=Reads(count=2, relation="place"),
    )
    maker = build(2, plan=plan)
    first, second = batch_of(2, (16, 16)), batch_of(2, (16, 16))
    second.reads[0]["main"].data = second.reads[0]["main"].data + 5000
    coarse = first.reads[0]["main"]
    fine = replace(coarse, data=coarse.data.repeat_interleave(2, 2).repeat_interleave(2, 3), spacing=coarse.spacing / 2)
    batch = replace(first, reads=({"main": coarse, "fine": fine}, second.reads[0]))
    views = maker(batch)
    assert views["later"][0].x.mean() > 4000 > views[0].x.mean()
    assert not views[0].geometry.overlap(views["later"][0].geometry).any()  # other items: nothing to compare
    torch.testing.assert_close(views["fine"][0].geometry.matrix, views[0].geometry.matrix)
    torch.testing.assert_close(views["fine"][0].geometry.offset, views[0].geometry.offset)


def test_a_part_of_other_axes_passes_through():
    plan = Plan(views=(ViewSpec(), ViewSpec(role="text", part="text", clean=True)), parts=("main", "text"))
    maker = build(3, plan=plan)
    batch = batch_of(3, maker.read_size)
    words = torch.randint(0, 30000, (4, 1, 12))
    ones = torch.ones(4, 1)
    batch.reads[0]["text"] = PartBatch(words, None, None, ones, ones, ("token",))
    text = maker(batch)["text"][0]
    assert text.x.equal(words.float()) and text.geometry is None and text.part == "text"


class Halve(Operation):
    name = "gain"
    always = True

    def apply(self, x, context, draws):
        return x * (0.5 if context.strength == 0 else 0.25), {"factor": torch.ones(len(x), 1)}


def test_a_domains_operation_replaces_the_generic_one():
    plain = layout_of(2, symmetries=frozenset({"gain"}))
    plan = Plan(views=(ViewSpec(), ViewSpec(role="plain", photometric=False)))
    maker = build(2, plan=plan, layout=plain, operations=(Halve(),))
    batch = batch_of(2, (16, 16))
    x = batch.reads[0]["main"].data.float()
    augmented, untouched = maker(batch)
    assert augmented.x.equal(x / 4) and untouched.x.equal(x / 2) and maker.clean(batch).x.equal(x / 2)
    off = build(2, plan=plan, layout=plain, operations=(Halve(),), config={"off": ["gain"]})
    assert off(batch)[0].x.equal(x)


def test_strength_zero_and_off_leave_values_alone():
    still = layout_of(3, symmetries=INTENSITY)
    batch = batch_of(3, (16, 16, 16))
    x = batch.reads[0]["main"].data.float()
    assert build(3, layout=still, plan=Plan.augmented(2), config={"strength": 0.0})(batch)[1].x.equal(x)
    assert build(3, layout=still, plan=Plan.augmented(1), config={"off": sorted(INTENSITY)})(batch)[0].x.equal(x)
    assert not build(3, layout=still, plan=Plan.augmented(1))(batch)[0].x.equal(x)


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match=r"views\.off names the unknown operation 'gama' \(did you mean 'gamma'"):
        build(2, config={"off": ["gama"]})
    with pytest.raises(ConfigError, match="refer to the role 'globl'"):
        build(2, plan=Plan(views=(ViewSpec(), ViewSpec(role="local", inside="globl"))))
    with pytest.raises(ConfigError, match="wait for each other"):
        build(2, plan=Plan(views=(ViewSpec(role="a", inside="b"), ViewSpec(role="b", inside="a"))))
    with pytest.raises(ConfigError, match="must rise within"):
        build(2, plan=Plan(views=(ViewSpec(scale=(0.5, 0.2)),)))


def test_rotated_views_have_no_cells_from_beyond_the_window():
    plan = Plan(views=(ViewSpec(scale=(0.9, 1.0)),))
    maker = build(3, plan=plan, rotate=30.0)
    assert maker.read_size == read_size(plan, ViewsConfig(rotate=30.0), layout_of(3), (16,) * 3, 4) == (22, 22, 22)
    view = maker(batch_of(3, maker.read_size))[0]
    edges = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).expand(4, -1, -1)
    part = batch_of(3, maker.read_size).reads[0]["main"]
    cells = (view.geometry.to_source(edges) - part.origin[:, None]) / part.spacing[:, None]
    assert view.valid is None and cells.min() > -1e-3 and cells.max() < 22 + 1e-3


def test_the_global_generator_is_left_alone():
    maker = build(3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    maker(batch_of(3, maker.read_size))
    assert torch.get_rng_state().equal(before)


def test_channels_with_bounds_in_a_layout():
    layout = replace(layout_of(2), channels=(Channel("c0", bounds=(0.0, 1.0)), Channel("c1")))
    maker = build(2, layout=layout)
    assert isinstance(maker(batch_of(2, maker.read_size))[0].random, Draws)


def test_a_front_end_turns_what_was_read_into_the_grid_views_are_cut_from():
    class Squares(Operation):
        """Signals of 256 values as grids of 16 x 16."""

        name = "squares"

        def front_end(self, part):
            return replace(part, data=part.data.unflatten(2, (16, 16)).float(), valid=part.valid.unflatten(1, (16, 16)))

        def apply(self, x, context, draws):
            return x, {}

    signal = torch.arange(2 * 256).view(2, 1, 256).to(torch.int16)
    valid = (torch.arange(256) < 240).expand(2, -1)
    index = torch.arange(2)
    part = PartBatch(signal, valid, None, torch.ones(2, 2), torch.zeros(2, 2), ("c",))
    batch = Batch(({"main": part},), index, index, index)
    for config in (ViewsConfig(), ViewsConfig(off=["squares"])):
        maker = ViewMaker(layout_of(2), Plan.single(), config, (Squares(),), window=(16, 16))
        with forbid_sync():
            clean, (view,) = maker.clean(batch), maker(batch)
        assert clean.valid[:, :15].all() and not clean.valid[:, 15].any()
        assert clean.x[:, :, :15].equal(signal.view(2, 1, 16, 16)[:, :, :15].float())
        assert view.x.shape == (2, 1, 16, 16) and not view.valid.all()
