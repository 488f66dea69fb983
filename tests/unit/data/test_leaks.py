from dataclasses import replace

import numpy as np
import pytest

from ssl_platform.data.facts import Facts
from ssl_platform.data.leaks import (
    check_codes,
    check_folds,
    monitor_entries,
    pretraining_overlap,
    pretraining_rows,
)
from ssl_platform.data.tasks import LabelLayout
from ssl_platform.errors import DataError
from ssl_platform.types import Row

TRAIN, VAL, TEST = 1, 2, 3


def made(groups, fingerprints=None, windows=None, row=None, rule="column group"):
    count = len(groups)
    rows = [
        Row(f"i{k}", f"/d/i{k}", (8,), fingerprint=fingerprints[k] if fingerprints else f"f{k}") for k in range(count)
    ]
    row = list(range(count)) if row is None else row
    return rows, Facts(
        row=np.array(row),
        id=tuple(rows[r].id for r in row),
        label=("x",) * count,
        target=np.zeros(count, dtype=np.int64),
        mask=("",) * count,
        group=tuple(groups),
        split=("",) * count,
        fold=np.full(count, -1),
        window=tuple(windows or [None] * count),
        pair=("",) * count,
        time=np.full(count, np.nan),
        layout=LabelLayout("classification", ("x", "y")),
        group_rule=rule,
    )


def codes(*parts):
    return np.array([parts], dtype=np.int8)


def test_a_group_in_two_splits_is_an_error_with_names():
    rows, facts = made(["p", "q", "p"])
    with pytest.raises(DataError) as error:
        check_codes(rows, facts, codes(TRAIN, VAL, TEST))
    assert str(error.value) == (
        "group 'p' is in train ('i0') and test ('i2'): give all of it one split, or correct the groups"
    )
    check_codes(rows, facts, codes(TRAIN, VAL, TRAIN))
    check_codes(rows, facts, codes(TRAIN, VAL, 0))


def test_identical_content_in_two_splits_is_an_error_with_names():
    rows, facts = made(["p", "q", "r"], fingerprints=["f", "g", "f"])
    with pytest.raises(DataError) as error:
        check_codes(rows, facts, codes(TRAIN, VAL, TEST))
    assert str(error.value) == (
        "'i0' in train and 'i2' in test have identical content: remove one, or give both one split"
    )


def test_content_that_is_not_known_is_no_copy():
    rows, facts = made(["p", "q"], fingerprints=["", ""])
    check_codes(rows, facts, codes(TRAIN, TEST))


def test_a_group_in_two_folds_is_an_error_with_names():
    rows, facts = made(["p", "p"])
    with pytest.raises(DataError, match=r"group 'p' is in fold 0 \('i0'\) and fold 2 \('i1'\)"):
        check_folds(rows, facts, np.array([0, 2]))


def test_windows_of_a_file_in_two_splits_ask_for_a_group():
    rows, facts = made(["i0", "i0"], row=[0, 0], windows=[((0, 4),), ((4, 8),)], rule="file")
    with pytest.raises(DataError) as error:
        check_codes(rows, facts, codes(TRAIN, TEST))
    assert str(error.value) == (
        "group 'i0' is in train ('i0') and test ('i0'): give all windows of a file one split, or a group column that "
        "says they are unrelated"
    )


@pytest.mark.parametrize(("second", "leaks"), [(((4, 8),), False), (((3, 8),), True), (None, True)])
def test_windows_of_unrelated_groups_may_share_a_file_but_no_cell(second, leaks):
    rows, facts = made(["left", "right"], row=[0, 0], windows=[((0, 4),), second])
    if not leaks:
        check_codes(rows, facts, codes(TRAIN, TEST))
        return
    with pytest.raises(DataError, match="have identical content"):
        check_codes(rows, facts, codes(TRAIN, TEST))


def test_pretraining_leaves_out_test_rows_their_groups_and_their_copies():
    rows, facts = made(["p", "q", "q", "r", "s"], fingerprints=["a", "b", "c", "b", "d"])
    kept, notes = pretraining_rows(rows, facts, codes(TRAIN, TEST, 0, 0, 0))
    assert kept.tolist() == [0, 4]
    assert notes == ["pretraining: 1 test item and 2 more of their groups left out (data.include_test=true keeps them)"]


def test_include_test_keeps_them_and_says_so():
    rows, facts = made(["p", "q"])
    kept, notes = pretraining_rows(rows, facts, codes(TRAIN, TEST), include_test=True)
    assert kept.tolist() == [0, 1] and notes == ["pretraining: includes 1 test item (data.include_test=true)"]


def test_without_test_rows_everything_is_used():
    rows, facts = made(["p", "q"])
    assert pretraining_rows(rows, facts, codes(TRAIN, VAL))[0].tolist() == [0, 1]


def test_a_cross_validation_tests_everything_so_nothing_is_left_out_and_that_is_said():
    rows, facts = made(["p", "q"])
    kept, notes = pretraining_rows(rows, facts, np.array([[TRAIN, TEST], [TEST, TRAIN]]))
    assert len(kept) == 2 and notes == [
        "pretraining: 2-fold tests every labelled item once, so none is left out; "
        "give a split column to keep test items out"
    ]


def test_only_test_rows_is_an_error():
    rows, facts = made(["p", "p"])
    with pytest.raises(DataError, match="every item is a test item or of its group"):
        pretraining_rows(rows, facts, codes(TEST, 0))


def test_the_monitor_sees_labels_of_train_and_val_never_of_test():
    _, facts = made(list("pqrs"))
    facts = replace(facts, target=np.array([0, 1, 1, -1]))
    assert monitor_entries(facts, codes(TRAIN, VAL, TEST, TRAIN)).tolist() == [0, 1]
    rounds = np.array([[TRAIN, VAL, TEST, TRAIN], [TEST, TRAIN, TRAIN, VAL]])
    assert monitor_entries(facts, rounds).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("pretrained", "expected"),
    [
        ({"a", "b", "x"}, (2, "2 of 3 test items were in pretraining")),
        (set(), (0, "0 of 3 test items were in pretraining")),
        (None, (None, "unknown whether the 3 test items were in pretraining")),
    ],
)
def test_transfer_says_how_many_test_items_were_in_pretraining(pretrained, expected):
    assert pretraining_overlap(["a", "b", "c"], pretrained) == expected
