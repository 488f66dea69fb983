"""Several plans as one: what is shared, what is renamed, what cannot be had together."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ssl_platform.config.schema import ViewsConfig
from ssl_platform.errors import ConfigError
from ssl_platform.joint_plan import JointPlan, Taken, join
from ssl_platform.plan import ModelSpec, Plan, Reads, Refresh, ViewSpec
from ssl_platform.testing.toy import toy_layout
from ssl_platform.views.sizes import view_size

PAIR, CROPS = Plan.augmented(2), Plan.multi_crop(4)
INSIDE = Plan(views=(ViewSpec("global"), ViewSpec("local", count=2, inside="global")))


def roles(joint: JointPlan) -> list[str]:
    return [spec.role for spec in joint.plan.views for _ in range(spec.count)]


FULL = Plan(
    views=(ViewSpec("global", count=2),),
    reads=Reads(2, "time"),
    offers=("tokens",),
    grid=True,
    parts=("main", "text"),
    labels="optional",
    stable=True,
    groups=True,
    refresh=Refresh("2ep"),
    min_batch=3,
    batch_coupled=True,
    host_solver=True,
    pretext=("rot90", "flip"),
    min_channels=2,
)


def test_one_plan_stays_as_it_is() -> None:
    plain = Plan(views=())
    same = [f.name for f in fields(Plan) if getattr(FULL, f.name) == getattr(plain, f.name)]
    assert same == ["models"], "a new need must be joined too"
    for plan in (PAIR, CROPS, INSIDE, FULL):
        joint = join({"only": plan})
        assert joint.plan == plan
        assert [taken.position for taken in joint.taken["only"]] == list(range(len(roles(joint))))


def test_views_of_equal_specs_are_made_once() -> None:
    joint = join({"a": PAIR, "b": CROPS, "c": Plan.augmented(3)})
    assert roles(joint) == ["global"] * 3 + ["local"] * 4
    assert joint.taken["a"] == (Taken(0, "global"), Taken(1, "global"))
    assert [taken.position for taken in joint.taken["b"]] == [0, 1, 3, 4, 5, 6]
    assert [taken.position for taken in joint.taken["c"]] == [0, 1, 2]


def test_other_views_of_one_role_get_the_later_parts_name() -> None:
    joint = join({"mae": Plan.single(), "dino": CROPS, "swav": CROPS.replace(views=(ViewSpec("local", size=8),))})
    assert roles(joint) == ["global", "dino.global", "dino.global", *["local"] * 4, "swav.local"]
    assert [taken.role for taken in joint.taken["dino"]] == ["global"] * 2 + ["local"] * 4
    small = ViewsConfig(global_size=16, local_size=8)
    sizes = [view_size(spec, small, toy_layout(), (16, 16)) for spec in joint.plan.views]
    assert sizes == [(16, 16), (16, 16), (8, 8), (8, 8)]  # dino.global is no small view, swav.local is


def test_views_that_refer_to_each_other_are_shared_all_or_none() -> None:
    joint = join({"a": INSIDE, "b": INSIDE, "c": PAIR, "d": INSIDE.replace(views=(*INSIDE.views, ViewSpec("x")))})
    assert joint.taken["a"] == joint.taken["b"]
    assert roles(joint)[:3] == ["global", "local", "local"]
    assert roles(joint)[3:5] == ["c.global"] * 2  # a further `global` would change what `inside` means
    assert [(spec.role, spec.inside) for spec in joint.plan.views[-3:]] == [
        ("d.global", None),
        ("d.local", "d.global"),
        ("d.x", None),
    ]


def test_two_views_of_one_part_are_never_one() -> None:
    twice = Plan(views=(ViewSpec("global"), ViewSpec("global")))
    joint = join({"a": PAIR, "b": twice})
    positions = [taken.position for taken in joint.taken["b"]]
    assert len(set(positions)) == 2


def test_needs_add_up() -> None:
    teacher = (("teacher", ModelSpec("frozen")),)
    joint = join(
        {
            "a": Plan.single(offers=("tokens", "drop"), models=teacher, labels="optional", min_batch=2),
            "b": Plan.augmented(2, offers=("drop", "taps"), models=teacher, labels="required", stable=True),
        }
    )
    plan = joint.plan
    assert plan.offers == ("tokens", "drop", "taps")
    assert [name for name, _ in plan.models] == ["a-teacher", "b-teacher"]
    assert (plan.labels, plan.stable, plan.min_batch) == ("required", True, 2)


def test_reads_and_passes_are_shared_or_refused() -> None:
    pairs = Reads(2, "time")
    assert join({"a": PAIR, "b": PAIR.replace(reads=pairs)}).plan.reads == pairs
    assert join({"a": PAIR, "b": PAIR.replace(refresh=Refresh("2ep"))}).plan.refresh == Refresh("2ep")
    with pytest.raises(ConfigError, match="a and b need different reads"):
        join({"a": PAIR.replace(reads=pairs), "b": PAIR.replace(reads=Reads(2, "overlap"))})
    with pytest.raises(ConfigError, match="a and b need different whole-set passes"):
        join({"a": PAIR.replace(refresh=Refresh("1ep")), "b": PAIR.replace(refresh=Refresh("50"))})
