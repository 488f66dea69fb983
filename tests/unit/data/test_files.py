"""Files written whole or not at all, and what lies in the place of one that was never fetched."""

import pytest

from ssl_platform.data.files import replace_file, stand_in


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replace_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        ("/annex/objects/SHA256E-s1--0.nii.gz\n", "git annex get"),
    ],
)
def test_pointers_are_known(tmp_path, content, fix):
    (tmp_path / "a.nii.gz").write_text(content)
    assert stand_in(tmp_path / "a.nii.gz").endswith(fix)


def test_other_files_folders_and_absent_ones_are_none(tmp_path):
    (tmp_path / "a").write_text("notes")
    assert [stand_in(tmp_path / name) for name in ("a", "", "gone")] == [None, None, None]
