"""Scales: the manifest's, the file's, an option's, never a guess."""

import shutil

import pytest

from ssl_platform.errors import Unreadable
from ssl_platform.types import Row
from ssl_platform_wholeslide.domain import WholeSlide
from ssl_platform_wholeslide.items import fitted, grid, native_mpp, parse_mpp, rows_of
from ssl_platform_wholeslide.options import WholeSlideOptions
from ssl_platform_wholeslide.settle import settle
from ssl_platform_wholeslide.testing import tissue_picture, write_mrxs, write_svs


def row(scale=None, **meta):
    stored = {} if scale is None else {"native_mpp": str(scale)}
    return Row("x", "/x", (1000, 2000), meta={"levels": "1000x2000;250x500", "downsamples": "1;4", **stored, **meta})


def test_text_of_scales():
    assert parse_mpp("0.25") == (0.25, 0.25) and parse_mpp("0.25x0.26") == parse_mpp("0.25,0.26") == (0.25, 0.26)
    for bad in ("", "x", "0", "72", "0.2x0.2x0.2", "nan"):
        with pytest.raises(ValueError):
            parse_mpp(bad)


def test_the_manifest_overrules_the_file_and_the_file_the_options():
    options = WholeSlideOptions(mpp=1.0, missing_mpp=0.4)
    assert native_mpp(row(0.25, mpp="0.5"), options) == (0.5, 0.5)
    assert native_mpp(row(0.25), options) == (0.25, 0.25)
    assert native_mpp(row(), options) == (0.4, 0.4)
    assert native_mpp(row(), WholeSlideOptions(mpp=1.0)) == (1.0, 1.0)
    with pytest.raises(Unreadable, match="manifest column 'mpp' is 'abc'"):
        native_mpp(row(mpp="abc"), options)


def test_a_scale_is_never_guessed_and_the_message_says_what_settles_it():
    with pytest.raises(Unreadable) as caught:
        native_mpp(row(power=40.0), WholeSlideOptions())
    assert "objective 40x, often 0.25" in caught.value.why
    assert "data.missing_mpp=NUMBER or a manifest column 'mpp'" in caught.value.why
    with pytest.raises(Unreadable, match=r"352\.8 um a pixel is no microscope's"):
        native_mpp(row(note="the stored 352.8 um a pixel is no microscope's"), WholeSlideOptions())


def test_grid_of_rows_follows_the_options():
    assert grid(row(0.25), WholeSlideOptions()).shape == (1000, 2000)
    assert grid(row(0.25), WholeSlideOptions(mpp=1.0)).shape == (250, 500)
    assert grid(row(0.25, mpp="0.5"), WholeSlideOptions(mpp=1.0)).shape == (500, 1000)


def test_windows_of_labels_are_pixels_of_the_finest_level():
    options = WholeSlideOptions(mpp=1.0)
    assert WholeSlide(options).label_box(fitted(row(0.25), options), ((100, 200), (400, 2000))) == (
        (25, 50),
        (100, 500),
    )


def test_groups_are_tcga_cases_else_the_file(tmp_path):
    for name, group, rule in (
        ("TCGA-CR-7395-01A-01-TS1.svs", "TCGA-CR-7395", "TCGA case"),
        ("biopsy.svs", None, "file"),
    ):
        path = write_svs(tmp_path / name, tissue_picture(256, 256), 0.5)
        ((found, slide),) = rows_of(path, WholeSlideOptions())
        slide.close()
        assert (found.group, found.meta["group_rule"]) == (group, rule)
        assert found.meta["power"] == 20.0 and found.meta["format"] == "aperio"


# ---------------------------------------------------------------------------------------------------------- whole sets
def test_the_scale_of_a_set():
    def settled(scales, **options):
        return settle([row(scale) for scale in scales], WholeSlideOptions(**options))

    assert settled([0.25, 0.25, 0.5, 0.51])["mpp"][0] == 0.5
    value, why = settled([0.25, 1.0, 1.0])["mpp"]
    assert value == 1.0 and "three quarters" in why and "0.25 to 1" in why
    # one coarse slide among many does not drag the others down: it is refused by name instead
    assert settled([0.25] * 9 + [4.0])["mpp"][0] == 0.5
    assert settled([0.25], mpp=1.0) == {} and settled([]) == {}


def test_slides_without_a_scale_take_a_given_one_and_it_is_said():
    found = settle([row(0.25), row()], WholeSlideOptions(mpp=0.5))
    assert found == {"missing_mpp": (0.5, "1 slide stores no microns a pixel: taken to be data.mpp at full resolution")}
    assert settle([row()], WholeSlideOptions(missing_mpp=1.0))["mpp"][0] == 1.0
    assert "missing_mpp" not in settle([row()], WholeSlideOptions(mpp=0.5, missing_mpp=0.25))


def test_slides_of_a_file_and_a_folder_are_told_apart_by_the_folder(tmp_path):
    """The `.mrxs` files of two slides may be alike; the same slide elsewhere is the same content."""
    picture = tissue_picture(256, 256)
    for name in ("a", "b"):
        write_mrxs(tmp_path / f"{name}.mrxs", picture, 0.5, (1, 2))
    shutil.copytree(tmp_path / "a", tmp_path / "other" / "c")
    shutil.copy(tmp_path / "a.mrxs", tmp_path / "other" / "c.mrxs")
    prints = []
    for path in (tmp_path / "a.mrxs", tmp_path / "b.mrxs", tmp_path / "other" / "c.mrxs"):
        ((row, slide),) = rows_of(path, WholeSlideOptions())
        slide.close()
        prints.append(row.fingerprint)
    assert prints[0] == prints[2] != prints[1] and all(prints)
