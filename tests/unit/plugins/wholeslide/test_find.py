"""Candidates under a folder."""

from ssl_platform_wholeslide.find import find
from ssl_platform_wholeslide.testing import tissue_picture, write_dicom


def test_files_by_ending_dicom_by_folder_and_mirax_data_left_alone(tmp_path):
    for name in ("b.svs", "a.NDPI", "c.ome.tif", "notes.txt", ".hidden.svs", "m.mrxs", "mask.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "Data0001.dat").write_bytes(b"x")
    (tmp_path / "m" / "stray.tif").write_bytes(b"x")
    write_dicom(tmp_path / "d", tissue_picture(128, 128), 0.5, (1,))
    assert [path.name for path in find(tmp_path)] == ["a.NDPI", "b.svs", "c.ome.tif", "m.mrxs", "d"]
    assert list(find(tmp_path / "notes.txt")) == [tmp_path / "notes.txt"]
