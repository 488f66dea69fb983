import numpy as np
import pytest

from ssl_platform.data.tasks import encode, infer
from ssl_platform.errors import LabelError


def layout(*values, masks=False, **options):
    return infer({"label": list(values)}, masks, origin="t.csv", **options)


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["b", "a", "b", ""], "classification", ("a", "b")),
        (["10", "9", "9", "10", ""], "classification", ("9", "10")),
        (["grade 10", "grade 2"] * 2, "classification", ("grade 2", "grade 10")),
        (["1", "2", "3a"] * 2, "classification", ("1", "2", "3a")),
        (["a|b", "b", "c"], "multi-label", ("a", "b", "c")),
        (["0.5", "1.25", ""], "regression", ()),
        (["1e-3", "-2.5", "3"], "regression", ()),
    ],
)
def test_the_values_decide_and_classes_come_in_natural_order(values, kind, classes):
    found = layout(*values)
    assert (found.kind, found.classes) == (kind, classes)


def test_masks_make_segmentation():
    found = infer({}, True, names={2: "posterior", 0: "background"})
    assert (found.kind, found.classes, found.values) == ("segmentation", ("background", "posterior"), (0, 2))


def test_several_columns_of_zeros_and_ones_make_multi_label():
    found = infer({"edema": ["0", "1", ""], "mass": ["1", "False", ""]}, False)
    assert (found.kind, found.classes) == ("multi-label", ("edema", "mass"))


def test_the_task_is_printed():
    assert layout("sick", "well", "sick").line() == (
        "task: classification (text labels), 2 classes: sick, well; positive: well"
    )


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([str(i) for i in range(30, 60)] * 2, "30 distinct whole numbers in 60 rows"),
        (["1", "2", "3", "4"], "4 distinct whole numbers in 4 rows"),
        (["1.0", "0.0", "1.0"], "whole numbers written as '0.0'"),
        (["a", "b", "c"], "3 distinct texts in 3 rows"),
        (["1.5", "2.5", "high"], "mostly numbers, but 'high' is not one"),
    ],
)
def test_an_unclear_task_asks_for_it(values, what):
    with pytest.raises(LabelError) as error:
        layout(*values)
    assert str(error.value) == (
        f"the task of t.csv is unclear ({what}): pass --task classification or --task regression"
    )


def test_a_task_given_settles_it():
    assert layout("1.0", "0.0", task="classification").classes == ("0", "1")
    assert layout("1", "2", "3", task="regression").kind == "regression"
    assert layout("a", "b", "c", task="classification").classes == ("a", "b", "c")
    assert layout("a", "b", task="multi-label").kind == "multi-label"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layout("x", "x"), "t.csv has one class only ('x'): a task needs at least two"),
        (
            lambda: layout("a", "b", masks=True),
            "t.csv has both masks and labels: say which with --task segmentation or --task classification",
        ),
        (
            lambda: layout("a", "b", task="segmentation"),
            "--task segmentation needs masks: give --labels FOLDER or a table with a column 'mask'",
        ),
        (lambda: layout("1", "b", task="regression"), "--task regression needs numbers, but t.csv holds 'b'"),
        (lambda: layout("1", "inf", task="regression"), "--task regression needs numbers, but t.csv holds 'inf'"),
        (
            lambda: infer({"a": ["0", "2"], "b": ["1", "0"]}, False),
            "labels.label names several columns, so each holds 0 or 1, but 'a' holds '2'",
        ),
        (
            lambda: infer({"a": ["0"], "b": ["1"]}, False, task="regression"),
            "--task regression takes one label column, and labels.label names a, b",
        ),
        (
            lambda: layout("benign", "malignant", positive="malignent"),
            "labels.positive=malignent is not a class: they are benign, malignant (did you mean 'malignant'?)",
        ),
    ],
)
def test_labels_that_make_no_task_are_one_line(call, message):
    with pytest.raises(LabelError) as error:
        call()
    assert str(error.value) == message


def test_the_positive_class_is_the_one_named_else_the_second_of_two():
    assert layout("a", "b").positive == "b"
    assert layout("a", "b", positive="a").positive == "a"
    assert layout("a", "b", "c", "a", "b", "c").positive is None


def test_no_labels_make_no_task():
    assert layout("", "") is None and infer({}, False) is None


def test_masks_and_labels_go_together_when_the_task_is_given():
    assert layout("a", "b", masks=True, task="classification").kind == "classification"
    assert layout("a", "b", masks=True, task="segmentation").kind == "segmentation"


def test_targets_of_classes_are_minus_one_where_unknown():
    labels = {"label": ["b", "", "a"]}
    target = encode(infer(labels, False), labels, 3)
    assert target.dtype == np.int64 and target.tolist() == [1, -1, 0]


def test_integers_that_a_gap_turned_into_floats_are_one_class():
    labels = {"label": ["1.0", "0", "1"]}
    assert encode(infer(labels, False, task="classification"), labels, 3).tolist() == [1, 0, 1]


def test_targets_of_regression_are_nan_where_unknown():
    labels = {"label": ["1.5", "", "-2"]}
    np.testing.assert_array_equal(encode(infer(labels, False, task="regression"), labels, 3), [1.5, np.nan, -2])


def test_targets_of_multi_label_rows_and_columns_agree():
    rows = {"label": ["a|c", "b", "", "|"]}
    columns = {"a": ["1", "0", "", "0"], "b": ["0", "1", "", "0"], "c": ["1", "0", "", "0"]}
    expected = [[1, 0, 1], [0, 1, 0], [np.nan] * 3, [0, 0, 0]]
    np.testing.assert_array_equal(encode(infer(rows, False), rows, 4), expected)
    np.testing.assert_array_equal(encode(infer(columns, False), columns, 4), expected)
