"""NRRD: every space lands at the same place, attached or detached."""

import numpy as np
import pytest

from ssl_platform.errors import Unreadable
from ssl_platform_medical3d.readers import nrrd

VOLUME = np.arange(3 * 4 * 5, dtype="<i2").reshape(3, 4, 5)


def write(path, space, directions="(2,0,0) (0,3,0) (0,0,4)", origin="(10,20,30)", data=VOLUME, extra="", detached=""):
    lines = ["NRRD0004", "type: short", "dimension: 3", f"sizes: {' '.join(map(str, data.shape))}"]
    if space:
        lines += [f"space: {space}", f"space directions: {directions}", f"space origin: {origin}"]
    lines += ["endian: little", "encoding: raw", *([extra] if extra else [])]
    raw = np.asfortranarray(data).tobytes(order="F")
    if detached:
        lines.append(f"data file: {detached}")
        (path.parent / detached).write_bytes(raw)
        raw = b""
    path.write_bytes(("\n".join(lines) + "\n\n").encode() + raw)
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("RAS", (1, 1, 1)),
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
    ],
)
def test_every_space_becomes_ras(tmp_path, space, signs):
    (header,) = nrrd.read_headers(write(tmp_path / "x.nrrd", space))
    assert np.allclose(header.affine[:3, :3], np.diag(np.array(signs) * (2.0, 3.0, 4.0)))
    assert np.allclose(header.affine[:3, 3], np.array(signs) * (10, 20, 30))
    assert np.array_equal(nrrd.read_voxels(header)[0], VOLUME) and header.spaced


def test_oblique_directions_are_columns(tmp_path):
    (header,) = nrrd.read_headers(write(tmp_path / "x.nrrd", "LPS", directions="(0,2,0) (-1.8,0,2.4) (3.2,0,2.4)"))
    assert np.allclose(header.affine[:3, 0], (0, -2, 0)) and np.allclose(header.affine[:3, 1], (1.8, 0, 2.4))


def test_without_directions_orientation_is_said_to_be_unknown(tmp_path):
    (header,) = nrrd.read_headers(write(tmp_path / "x.nrrd", "", extra="spacings: 1 2 3"))
    assert header.spaced and "orientation unknown" in header.notes[0] and header.spacing == (3.0, 2.0, 1.0)
    (header,) = nrrd.read_headers(write(tmp_path / "y.nrrd", ""))
    assert not header.spaced


def test_a_detached_header_finds_its_data_or_says_so(tmp_path):
    path = write(tmp_path / "x.nhdr", "LPS", detached="x.raw")
    (header,) = nrrd.read_headers(path)
    assert np.array_equal(nrrd.read_voxels(header)[0], VOLUME) and header.files[1].name == "x.raw"
    (tmp_path / "x.raw").unlink()
    with pytest.raises(Unreadable, match=r"'x\.raw', which is not beside it"):
        nrrd.read_headers(path)


def test_truncated_data_is_refused_when_read(tmp_path):
    path = write(tmp_path / "x.nrrd", "LPS")
    path.write_bytes(path.read_bytes()[:-50])
    (header,) = nrrd.read_headers(path)
    with pytest.raises(Unreadable):
        nrrd.read_voxels(header)


def test_components_are_frames(tmp_path):
    import SimpleITK

    data = np.stack([VOLUME, VOLUME + 100], axis=-1)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0, 3)), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / "x.nrrd"))
    (header,) = nrrd.read_headers(tmp_path / "x.nrrd")
    assert header.frames == 2 and header.shape == VOLUME.shape
    assert np.array_equal(nrrd.read_voxels(header), [VOLUME, VOLUME + 100])
    assert np.array_equal(nrrd.read_voxels(header, 1)[0], VOLUME + 100)
