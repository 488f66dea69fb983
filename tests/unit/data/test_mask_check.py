import numpy as np
import pytest

from ssl_platform.config.schema import LabelsConfig
from ssl_platform.data.labels import resolve
from ssl_platform.data.mask_check import check_masks
from ssl_platform.errors import DataError, LabelError, Misfit, Unreadable
from ssl_platform.types import Row


def data(tmp_path, count=3):
    rows = [Row(f"i{k}.nii", f"/d/i{k}.nii", (2, 2)) for k in range(count)]
    for k in range(count):
        (tmp_path / f"i{k}.nii").write_text("x")
    return rows, resolve(rows, LabelsConfig(source=str(tmp_path)))


def reader(*answers):
    answers = list(answers)

    def read(row, path):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return np.array(answer)

    return read


def test_classes_are_the_values_that_occur_less_the_ignored_one(tmp_path):
    rows, facts = data(tmp_path)
    found = check_masks(rows, facts, reader([0, 1], [0, 3], [0, 255]))
    assert found.facts.layout.classes == ("0", "1", "3") and found.facts.layout.values == (0, 1, 3)
    assert found.cells == {0: 3, 1: 1, 3: 1} and not found.quarantined


def test_a_mask_on_another_grid_is_quarantined_and_the_rest_goes_on(tmp_path):
    rows, facts = data(tmp_path)
    found = check_masks(rows, facts, reader([0, 1], Misfit("shape (3, 3) and not (2, 2)"), [0, 1]))
    path = str(tmp_path / "i1.nii")
    assert found.quarantined == {path: "shape (3, 3) and not (2, 2)"}
    assert found.facts.labelled.tolist() == [True, False, True]
    assert found.facts.notes[-1] == f"masks: 1 mask not used, such as {path}: shape (3, 3) and not (2, 2)"


@pytest.mark.parametrize(
    ("error", "why"), [(Unreadable("file ends early"), "file ends early"), (OSError("denied"), "denied")]
)
def test_an_unreadable_mask_is_an_error(tmp_path, error, why):
    rows, facts = data(tmp_path)
    with pytest.raises(DataError) as raised:
        check_masks(rows, facts, reader([0, 1], error))
    assert str(raised.value) == (
        f"mask {tmp_path / 'i1.nii'} of 'i1.nii' cannot be read ({why}): correct it, or leave it out"
    )


def test_no_mask_that_fits_is_an_error(tmp_path):
    rows, facts = data(tmp_path, 1)
    with pytest.raises(DataError, match=r"no mask fits its image: .*i0.nii: other affine"):
        check_masks(rows, facts, reader(Misfit("other affine")))


def test_one_value_only_is_an_error(tmp_path):
    rows, facts = data(tmp_path, 2)
    with pytest.raises(LabelError, match=r"the masks hold one value only \(0\): a task needs at least two"):
        check_masks(rows, facts, reader([0, 0], [0, 0]))
