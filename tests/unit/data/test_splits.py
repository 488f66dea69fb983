from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data import split_file
from ssl_platform.data.facts import Facts
from ssl_platform.data.splits import TEST, TRAIN, UNUSED, VAL, resolve
from ssl_platform.data.tasks import encode, infer
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row


def made(labels, groups=None, split=None, fold=None, fingerprints=None, task=None):
    """Rows and facts of `len(labels)` items."""
    count = len(labels)
    rows = [
        Row(f"i{k}", f"/d/i{k}", (8, 8, 8), fingerprint=fingerprints[k] if fingerprints else f"f{k}")
        for k in range(count)
    ]
    columns = {"label": list(labels)}
    layout = infer(columns, False, task=task)
    return rows, Facts(
        row=np.arange(count),
        id=tuple(row.id for row in rows),
        label=tuple(labels),
        target=encode(layout, columns, count),
        mask=("",) * count,
        group=tuple(groups or (row.id for row in rows)),
        split=tuple(split or ("",) * count),
        fold=np.array(fold if fold is not None else [-1] * count),
        window=(None,) * count,
        pair=("",) * count,
        time=np.full(count, np.nan),
        layout=layout,
        group_rule="column group" if groups else "file",
    )


def drawn(*args, seed=0, config=None, **options):
    rows, facts = made(*args, **options)
    return resolve(rows, facts, config or LabelsConfig(), seed=seed)


ALTERNATING = ["a", "b"] * 100


def test_no_labels_and_no_columns_make_no_split():
    splits = drawn(["", ""])
    assert splits.id == "" and not splits.codes.any() and splits.notes == ()


def test_columns_win():
    split = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    splits = drawn(["a", "b"] * 4, split=split)
    assert splits.codes.tolist() == [[TRAIN] * 4 + [VAL] * 2 + [TEST] * 2] and splits.rule == "columns"
    assert splits.notes == (f"split: columns: train 4, val 2, test 2 (id {splits.id})",)


def test_entries_without_a_split_follow_their_group_else_are_unused():
    rows, facts = made(["a", "a", "b", "b", "a"], groups=list("ppqsr"), split=["train", "", "train", "test", ""])
    splits = resolve(rows, facts, LabelsConfig())
    assert splits.codes[0, 1] in (TRAIN, VAL) and splits.codes[0, 4] == UNUSED
    assert "split: 1 entry without a split follow their group" in splits.notes
    assert "split: 1 labelled item without a split are not used" in splits.notes


def test_validation_is_drawn_inside_train_when_the_column_has_none():
    splits = drawn(ALTERNATING, split=["train"] * 100 + ["test"] * 100)
    assert (splits.codes[0, 100:] == TEST).all() and (splits.codes[0, :100] == VAL).sum() == 20
    assert splits.notes[0] == "split: no val in the column: 20% of the train groups drawn for it"


def test_a_fold_column_is_a_cross_validation():
    splits = drawn(["a", "b"] * 20, fold=[k // 2 % 4 + 1 for k in range(40)])
    assert splits.folds == 4 and splits.rule == "fold column"
    assert splits.fold.tolist() == [k // 2 % 4 for k in range(40)]
    assert ((splits.codes == TEST).sum(axis=0) == 1).all() and (splits.codes == VAL).any(axis=1).all()


def test_a_single_fold_is_an_error():
    with pytest.raises(DataError) as error:
        drawn(["a", "b"], fold=[3, 3])
    assert str(error.value) == "the fold column holds one fold only (3): cross-validation needs at least two"


def test_splits_come_before_folds_and_that_is_said():
    splits = drawn(["a", "b"] * 2, split=["train", "train", "test", "test"], fold=[0, 1, 0, 1])
    assert splits.folds == 1 and splits.notes[0] == "split: the column of splits is used and the one of folds is not"


def test_from_a_hundred_labelled_groups_on_it_is_60_20_20_by_class():
    splits = drawn(ALTERNATING)
    assert splits.folds == 1 and splits.rule == "drawn"
    for k in range(2):
        assert np.bincount(splits.codes[0, k::2]).tolist() == [0, 60, 20, 20]
    assert splits.notes[0] == "split: 200 labelled groups drawn 60/20/20 by class with seed 0"


def test_under_a_hundred_labelled_groups_every_item_is_tested_once():
    splits = drawn(["a", "b"] * 45, groups=[f"p{k // 2}" for k in range(90)])
    assert splits.folds == 5 and splits.rule == "5-fold"
    assert ((splits.codes == TEST).sum(axis=0) == 1).all()
    for codes in splits.codes:
        assert set(codes.tolist()) == {TRAIN, VAL, TEST}
        assert not (set(np.flatnonzero(codes == VAL) // 2) & set(np.flatnonzero(codes == TRAIN) // 2))
    assert splits.notes[0] == (
        "split: 45 labelled groups, fewer than 100: 5 folds, every item tested once, validation drawn inside train"
    )


def test_it_is_groups_that_are_counted_and_only_labelled_ones():
    assert drawn(["a", "b"] * 200, groups=[f"p{k // 8}" for k in range(400)]).folds == 5
    assert drawn(["a", "b"] * 40 + [""] * 200).folds == 5


def test_fewer_groups_than_folds_make_as_many_folds_as_groups():
    splits = drawn(["a", "b"] * 3, groups=["p", "p", "q", "q", "r", "r"])
    assert splits.folds == 3 and splits.rule == "3-fold"


def test_one_group_cannot_be_split():
    with pytest.raises(DataError) as error:
        drawn(["a", "b"], groups=["p", "p"])
    assert str(error.value) == (
        "all labelled items are one group ('p', by column group): it cannot be split; give labels.group=COLUMN, "
        "a split column, or labels.blocks for geodata"
    )


def test_unlabelled_items_are_in_no_part():
    splits = drawn([*ALTERNATING, "", ""])
    assert (splits.codes[0, -2:] == UNUSED).all()


def test_identical_content_is_drawn_as_one_group():
    fingerprints = [f"f{k // 2}" for k in range(400)]
    splits = drawn([*ALTERNATING, *ALTERNATING], fingerprints=fingerprints)
    assert (splits.codes[0, ::2] == splits.codes[0, 1::2]).all()


def test_regression_targets_are_spread():
    values = [f"{k}.5" for k in range(300)]
    splits = drawn(values)
    means = [np.mean(splits.positions(part)) for part in ("train", "val", "test")]
    assert max(means) - min(means) < 15


@pytest.mark.parametrize("labels", [["a", "b"] * 50 + ["rare"], ["a", "b"] * 10 + ["rare"]])
def test_a_class_of_one_group_trains_or_is_an_error(labels):
    if len(labels) > 100:
        splits = drawn(labels)
        assert splits.codes[0, -1] == TRAIN
        return
    with pytest.raises(LabelError) as error:
        drawn(labels)
    fold = str(error.value).split("fold ")[1][0]
    assert str(error.value) == (
        f"class 'rare' is in fold {fold} ('i20') and not in train: it occurs in 1 group; "
        "merge or drop the class, or give a split column (labels.unseen=allow where it is an anomaly)"
    )


def test_a_class_of_the_test_column_that_train_lacks_is_an_error():
    with pytest.raises(LabelError) as error:
        drawn(["a", "b", "a", "c"], split=["train", "train", "test", "test"])
    assert str(error.value) == (
        "class 'c' is in test ('i3') and not in train: it occurs in 1 group; "
        "merge or drop the class, or give a split column (labels.unseen=allow where it is an anomaly)"
    )


labelled = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 150)), min_size=250, max_size=500)


@given(labelled, st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_no_group_lies_in_two_parts_and_classes_are_spread(items, seed):
    labels, groups = [label for label, _ in items], [f"p{group}" for _, group in items]
    if len(set(groups)) < 100 or len(set(labels)) < 3:
        return
    splits = drawn(labels, groups, seed=seed)
    parts = {}
    for code, group in zip(splits.codes[0].tolist(), groups, strict=True):
        assert parts.setdefault(group, code) == code and code != UNUSED
    for name in "abc":
        share = np.mean([code == TRAIN for code, label in zip(splits.codes[0], labels, strict=True) if label == name])
        assert 0.45 < share < 0.75


@given(st.permutations(range(120)), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_the_draw_does_not_depend_on_the_order_of_the_items(order, seed):
    rows, facts = made([f"{k % 3}" for k in range(120)])
    columns = ("row", "id", "label", "target", "mask", "group", "split", "fold", "window", "pair", "time")
    changes = {}
    for name in columns:
        values = getattr(facts, name)
        changes[name] = values[list(order)] if isinstance(values, np.ndarray) else tuple(values[k] for k in order)
    straight = resolve(rows, facts, LabelsConfig(), seed=seed)
    mixed = resolve(rows, replace(facts, **changes), LabelsConfig(), seed=seed)
    assert mixed.id == straight.id and (mixed.codes == straight.codes[:, list(order)]).all()


def test_the_seed_changes_the_draw_and_nothing_else_does():
    first, again, other = drawn(ALTERNATING), drawn(ALTERNATING), drawn(ALTERNATING, seed=1)
    assert first.id == again.id and (first.codes == again.codes).all() and first.id != other.id
    more = drawn([*ALTERNATING, *["", ""]])
    assert more.id == first.id, "unlabelled items do not change who is compared"


@pytest.mark.parametrize("labels", [ALTERNATING, ["a", "b"] * 20])
def test_splits_csv_is_written_and_reused_with_the_same_id(tmp_path, labels):
    rows, facts = made(labels)
    splits = resolve(rows, facts, LabelsConfig())
    path = split_file.write(tmp_path / "splits.csv", facts, splits.codes)
    again = resolve(rows, facts, LabelsConfig(split=str(path)), seed=9)
    assert (again.codes == splits.codes).all() and again.id == splits.id and again.rule == "file"
    assert again.notes[0] == f"split: reused from {path}"


def test_a_reused_file_that_names_absent_items_is_an_error_unless_allowed(tmp_path):
    rows, facts = made(ALTERNATING)
    path = split_file.write(tmp_path / "splits.csv", facts, resolve(rows, facts, LabelsConfig()).codes)
    rows, facts = made(ALTERNATING[:-2])
    with pytest.raises(DataError) as error:
        resolve(rows, facts, LabelsConfig(split=str(path)))
    assert str(error.value) == (
        f"2 of 200 items of {path} are not in the data, such as 'i198': give the same data, or "
        "labels.allow_unmatched=true (the split then counts as another one)"
    )
    assert resolve(rows, facts, LabelsConfig(split=str(path), allow_unmatched=True)).rule == "file"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,label\na,x\n",
            "{path} is not a splits file: it needs the columns 'id' and 'split' (or 'split:0', 'split:1'..)",
        ),
        ("id,split\ni0,tset\n", "splits.csv line 2: split 'tset' is not train, val or test (did you mean 'test'?)"),
    ],
)
def test_a_file_that_is_no_splits_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "splits.csv"
    path.write_text(text)
    rows, facts = made(["a", "b"])
    with pytest.raises(DataError) as error:
        resolve(rows, facts, LabelsConfig(split=str(path)))
    assert str(error.value) == message.format(path=path)
