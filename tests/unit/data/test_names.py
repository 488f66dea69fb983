import pytest

from ssl_platform.data.names import counted, listing, natural_key, nearest, portable, stem


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b/scan.nii.gz", "scan"),
        ("scan.nii", "scan"),
        ("SCAN.NII.GZ", "SCAN"),
        ("slide.ome.tif", "slide"),
        ("p1.2023-01.wav", "p1.2023-01"),
        ("series_folder", "series_folder"),
        ("series_folder/", "series_folder"),
        ("1.2.840.113619", "1.2.840.113619"),
    ],
)
def test_a_stem_is_the_name_less_one_file_ending(name, expected):
    assert stem(name) == expected


def test_a_domains_double_ending_counts_as_one():
    assert stem("x.abc.def", (".abc.def",)) == "x"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "-1", "0.5"], ["-1", "0.5", "9", "10"]),
        (["grade 10", "grade 2", "Grade 1"], ["Grade 1", "grade 2", "grade 10"]),
        (["b", "A", "c"], ["A", "b", "c"]),
        (["x", "2"], ["2", "x"]),
    ],
)
def test_natural_order_is_the_order_people_expect(names, expected):
    assert sorted(names, key=natural_key) == expected


def test_paths_become_portable():
    assert portable(".\\images\\a.nii") == "images/a.nii"


def test_near_misses_see_through_case():
    assert nearest("path", ["Path", "label"]) == " (did you mean 'Path'?)"
    assert nearest("lable", ["Path", "label"]) == " (did you mean 'label'?)"
    assert nearest("zzz", ["Path", "label"]) == ""


def test_lists_and_counts_read_as_english():
    assert listing(list("abcd"), 2) == "a, b and 2 more"
    assert counted(1, "item") == "1 item" and counted(1200, "class", "classes") == "1,200 classes"
