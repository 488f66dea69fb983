"""Tiny made copies of public datasets: the folders, names, formats and lists of the real ones, few and small items.

`LAYOUTS[name](folder)` writes one into an empty folder and returns the folder a user would give. Classes differ
plainly: labels that reach the wrong files are noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
Maker = Callable[[Path], Path]


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def ball(shape: tuple[int, ...], middle: tuple[float, ...], radius: float) -> np.ndarray:
    """Where a ball lies in a grid."""
    away = np.indices(shape) - np.array(middle).reshape(-1, *[1] * len(shape))
    return np.asarray((away**2).sum(0) < radius**2)


# ------------------------------------------------------------------------------------------------------------ medical3d
def msd_hippocampus(folder: Path) -> Path:
    """Ten labelled volumes of 20 cells and two without labels."""
    import nibabel

    root = folder / "Task04_Hippocampus"
    names = [f"hippocampus_{number:03d}" for number in range(1, 13)]
    for number, name in enumerate(names):
        middle = tuple(RNG.uniform(7, 13, 3))
        mask = ball((20, 20, 20), middle, 6).astype(np.uint8)
        mask[:10] *= 2
        image = (200 * mask + 10 * RNG.standard_normal(mask.shape) + 200).astype(np.float32)
        places = ["imagesTr", "labelsTr"] if number < 10 else ["imagesTs"]
        for place, values in zip(places, (image, mask), strict=False):
            (root / place).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), root / place / f"{name}.nii.gz")
    facts = {
        "name": "Hippocampus",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": 10,
        "numTest": 2,
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names[:10]],
        "test": [f"./imagesTs/{n}.nii.gz" for n in names[10:]],
    }
    written(root / "dataset.json", json.dumps(facts))
    return root


def luna16(folder: Path) -> Path:
    """A scan in each subset, in LPS mm: a ball of tissue in lung on one side, none on the other."""
    size, origin, spacing = (96, 48, 48), (-100.0, -80.0, -300.5), (1.0, 1.0, 1.25)
    lines = ["seriesuid,coordX,coordY,coordZ,class"]
    for subset in range(10):
        uid = f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{subset + 1}"
        volume = RNG.normal(-850, 15, size[::-1])
        middle = (24 + subset % 3, 24 - subset % 2, 24)  # voxels along x, y, z
        volume[ball(size[::-1], middle[::-1], 11)] = 60
        place = folder / f"subset{subset}"
        place.mkdir()
        (place / f"{uid}.raw").write_bytes(volume.astype("<i2").tobytes())
        written(
            place / f"{uid}.mhd",
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
            "TransformMatrix = 1 0 0 0 1 0 0 0 1\n"
            f"Offset = {' '.join(map(str, origin))}\nCenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
            f"ElementSpacing = {' '.join(map(str, spacing))}\nDimSize = {' '.join(map(str, size))}\n"
            f"ElementType = MET_SHORT\nElementDataFile = {uid}.raw\n",
        )
        for voxel, kind in ((middle, 1), ((72, 24, 24), 0)):
            at = [start + v * step for start, v, step in zip(origin, voxel, spacing, strict=True)]
            lines.append(f"{uid},{','.join(map(str, at))},{kind}")
    written(folder / "candidates_V2.csv", "\n".join(lines) + "\n")
    written(folder / "annotations.csv", "seriesuid,coordX,coordY,coordZ,diameter_mm\n")
    return folder


# -------------------------------------------------------------------------------------------------------- multispectral
def geotiff(path: Path, bands: np.ndarray, east: float, cell: float = 10.0) -> None:
    """A GeoTIFF `[bands, h, w]` uint16 in UTM 32N."""
    import rasterio

    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "dtype": "uint16", "count": count, "height": height, "width": width}
    place = rasterio.Affine(cell, 0.0, 400_000 + east, 0.0, -cell, 5_500_000)
    with rasterio.open(path, "w", crs="EPSG:32632", transform=place, **profile) as out:
        out.write(bands.astype(np.uint16))


def eurosat(folder: Path) -> Path:
    """Nine patches of 64 cells and 13 bands of each of three classes."""
    tiles = folder / "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, (name, level) in enumerate((("AnnualCrop", 2500), ("Forest", 900), ("SeaLake", 300))):
        for k in range(1, 10):
            bands = RNG.normal(level, 40, (13, 64, 64)).clip(1)
            geotiff(tiles / name / f"{name}_{k}.tif", bands, 10_000.0 * (9 * number + k))
            part = "test" if k > 7 else "val" if k > 5 else "train"
            lists[part].append(f"{name}_{k}.jpg")
    for part, names in lists.items():
        written(folder / f"eurosat-{part}.txt", "\n".join(names) + "\n")
    return folder


def bigearthnet(folder: Path) -> Path:
    """Sixteen Sentinel-2 patches of two land covers, one or both of them in each; bands of three cell sizes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    metres = {"B01": 60, "B09": 60} | dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 20)
    scene = "S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP"
    records = []
    for k in range(16):
        patch = f"{scene}_{k:02d}_57"
        for band in ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]:
            cell = metres.get(band, 10)
            size = 1200 // cell
            values = RNG.normal((600, 2600, 1600, 600)[k % 4], 30, (1, size, size)).clip(1)
            values[:, :, : size // 2] += 800 * (k % 4 == 2)
            geotiff(folder / "BigEarthNet-S2" / scene / patch / f"{patch}_{band}.tif", values, 12_000.0 * k, cell)
        labels = (["Marine waters"], ["Arable land"], ["Arable land", "Marine waters"], ["Marine waters"])[k % 4]
        records.append(
            {
                "patch_id": patch,
                "labels": labels,
                "split": "train" if k < 8 else "validation" if k < 12 else "test",
                "country": "Austria",
                "s1_name": f"S1A_IW_GRDH_1SDV_20170613T165043_33UUP_{k:02d}_57",
                "contains_seasonal_snow": False,
                "contains_cloud_or_shadow": False,
            }
        )
    pq.write_table(pa.Table.from_pylist(records), folder / "metadata.parquet")
    return folder


# ----------------------------------------------------------------------------------------------------------- wholeslide
def camelyon16(folder: Path) -> Path:
    """Ten training and four test slides with a pyramid at 0.243 um; tumour is dark, coarse and everywhere."""
    from ssl_platform_wholeslide.writing import write_tiff

    def slide(path: Path, tumour: bool) -> None:
        picture = np.full((512, 512, 3), 242.0)
        grain = 16 if tumour else 4
        cells = np.kron(RNG.uniform(0, 1, (384 // grain, 384 // grain)), np.ones((grain, grain)))[..., None]
        picture[64:448, 64:448] = np.array([170, 90, 170]) - cells * (90 if tumour else 30)
        write_tiff(path, picture.round().astype(np.uint8), 0.243, (1, 2))

    for k in range(1, 6):
        slide(folder / "training" / "normal" / f"normal_{k:03d}.tif", False)
        slide(folder / "training" / "tumor" / f"tumor_{k:03d}.tif", True)
    lines = []
    for k in range(1, 5):
        slide(folder / "testing" / "images" / f"test_{k:03d}.tif", k % 2 == 1)
        lines.append(f"test_{k:03d},{'Tumor,IDC,Macro' if k % 2 == 1 else 'Normal,None,None'}")
    written(folder / "testing" / "reference.csv", "\n".join(lines) + "\n")
    return folder


def nct_crc(folder: Path) -> Path:
    """Tiles of 224 pixels of two tissues, and of glass alone."""
    import tifffile

    colours = {"ADI": (215, 180, 210), "BACK": (240, 240, 240), "TUM": (130, 70, 150)}
    for name, count in (("NCT-CRC-HE-100K", 6), ("CRC-VAL-HE-7K", 3)):
        for tissue, colour in colours.items():
            for k in range(count):
                tile = RNG.normal(colour, 4.0, (224, 224, 3)).clip(0, 255).astype(np.uint8)
                path = folder / name / tissue / f"{tissue}-{'TCGA-' if name.startswith('CRC') else ''}{k:08X}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, tile, photometric="rgb", resolution=(72, 72), resolutionunit="INCH")
    return folder


def patchcamelyon(folder: Path) -> Path:
    """Pale and dark patches of 96 pixels, compressed in chunks, labels `[N, 1, 1, 1]`, and the slide of each."""
    import h5py

    for part, count in (("train", 12), ("valid", 6), ("test", 6)):
        stem = f"camelyonpatch_level_2_split_{part}"
        labels = np.arange(count, dtype=np.uint8) % 2
        colours = np.where(labels[:, None], (130, 70, 150), (215, 180, 210))
        patches = RNG.normal(colours[:, None, None], 6.0, (count, 96, 96, 3)).clip(0, 255).astype(np.uint8)
        with h5py.File(folder / f"{stem}_x.h5", "w") as file:
            file.create_dataset("x", data=patches, chunks=(4, 96, 96, 3), compression="gzip")
        with h5py.File(folder / f"{stem}_y.h5", "w") as file:
            file.create_dataset("y", data=labels.reshape(-1, 1, 1, 1))
        lines = [f"{k},512,512,{bool(label)},{bool(label)},slide_{part}_{k // 2}" for k, label in enumerate(labels)]
        head = ",coord_y,coord_x,tumor_patch,center_tumor_patch,wsi"
        written(folder / f"{stem}_meta.csv", "\n".join([head, *lines]) + "\n")
    return folder


# ---------------------------------------------------------------------------------------------------------------- video
def moving(count: int, across: float, size: tuple[int, int] = (48, 64)) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames and masks of a bright disc that moves to the right."""
    ground = RNG.integers(20, 60, (*size, 3))
    for t in range(count):
        mask = ball(size, (size[0] / 2, 12 + across * t), 8)
        frame = ground.copy()
        frame[mask] = (230, 200, 60)
        yield frame.astype(np.uint8), mask.astype(np.uint8)


def ucf101(folder: Path) -> Path:
    """Two actions, ten groups of two clips, 25 frames a second in AVI; the three lists."""
    from ssl_platform_video.encode import write_video

    actions = {"ApplyEyeMakeup": 200, "YoYo": 40}
    lists: dict[str, list[str]] = {}
    for number, (action, level) in enumerate(actions.items(), 1):
        for group in range(1, 11):
            for clip in (1, 2):
                name = f"{action}/v_{action}_g{group:02d}_c{clip:02d}.avi"
                path = folder / "UCF-101" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                frames = RNG.integers(level - 20, level + 20, (1, 48, 64, 3)) + np.arange(30)[:, None, None, None]
                write_video(path, frames.clip(0, 255).astype(np.uint8), 25.0)
                for split in (1, 2, 3):
                    tested = (group - 1) // 3 == split - 1
                    line = name if tested else f"{name} {number}"
                    lists.setdefault(f"{'test' if tested else 'train'}list{split:02d}.txt", []).append(line)
    for name, lines in lists.items():
        written(folder / "ucfTrainTestlist" / name, "\n".join(lines) + "\n")
    written(folder / "ucfTrainTestlist" / "classInd.txt", "1 ApplyEyeMakeup\n2 YoYo\n")
    return folder


def davis(folder: Path) -> Path:
    """Two training sequences and two of `val`, twelve frames each, with palette masks."""
    from PIL import Image

    root = folder / "DAVIS"
    parts = {"train": ("bear", "bus"), "val": ("camel", "goat")}
    for part, names in parts.items():
        written(root / "ImageSets" / "2017" / f"{part}.txt", "\n".join(names) + "\n")
        for name in names:
            for kind in ("JPEGImages", "Annotations"):
                (root / kind / "480p" / name).mkdir(parents=True, exist_ok=True)
            for t, (frame, mask) in enumerate(moving(12, 2.5)):
                Image.fromarray(frame).save(root / "JPEGImages" / "480p" / name / f"{t:05d}.jpg", quality=95)
                marked = Image.fromarray(mask, mode="P")
                marked.putpalette([0, 0, 0, 128, 0, 0])
                marked.save(root / "Annotations" / "480p" / name / f"{t:05d}.png")
    return root


# ---------------------------------------------------------------------------------------------------------------- audio
def tone(path: Path, hertz: float, seconds: float, rate: int) -> None:
    """A recording of a tone, 16 bit."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * rate)) / rate
    samples = 0.3 * np.sin(2 * np.pi * hertz * RNG.uniform(0.98, 1.02) * t) + 0.01 * RNG.standard_normal(len(t))
    soundfile.write(path, samples.astype(np.float32), rate, subtype="PCM_16")


def esc50(folder: Path) -> Path:
    """Two classes, two sources in each of five folds, two clips a source: five seconds at 44.1 kHz."""
    root = folder / "ESC-50-master"
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for target, (category, hertz) in enumerate((("dog", 300.0), ("rain", 4000.0))):
        for fold in range(1, 6):
            for take in "AB":
                source = 100_000 + 100 * target + fold
                name = f"{fold}-{source}-{take}-{target}.wav"
                tone(root / "audio" / name, hertz, 5.0, 44_100)
                lines.append(f"{name},{fold},{target},{category},True,{source},{take}")
    written(root / "meta" / "esc50.csv", "\n".join(lines) + "\n")
    return root


def speech_commands(folder: Path) -> Path:
    """Three words of ten speakers, one second at 16 kHz, and noise that is no word."""
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word, hertz in (("down", 300.0), ("up", 1200.0), ("yes", 3500.0)):
        for k in range(10):
            name = f"{word}/{k:08x}_nohash_0.wav"
            tone(folder / name, hertz, 1.0, 16_000)
            if k >= 6:
                lists["validation_list.txt" if k < 8 else "testing_list.txt"].append(name)
    for file, names in lists.items():
        written(folder / file, "\n".join(names) + "\n")
    tone(folder / "_background_noise_" / "running_tap.wav", 50.0, 3.0, 16_000)
    return folder


# ----------------------------------------------------------------------------------------------------------- pointcloud
def modelnet40(folder: Path) -> Path:
    """Boxes and needles; as in the real set, some files have their counts on the first line beside `OFF`."""
    root = folder / "ModelNet40"
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    for name, shape in (("airplane", (20.0, 1.0, 1.0)), ("xbox", (10.0, 10.0, 10.0))):
        for k in range(1, 13):
            vertices = corners * np.array(shape) * RNG.uniform(0.9, 1.1, 3)
            head = "OFF8 12 0" if k % 3 == 0 else "OFF\n8 12 0"
            body = [" ".join(f"{v:.6f}" for v in vertex) for vertex in vertices]
            body += [f"3 {a} {b} {c}\n3 {a} {c} {d}" for a, b, c, d in faces]
            part = "train" if k <= 8 else "test"
            written(root / name / part / f"{name}_{k:04d}.off", "\n".join([head, *body]) + "\n")
    return root


def shapenetpart(folder: Path) -> Path:
    """Tables of two parts and lamps of two others: points, normals and part numbers without a header."""
    root = folder / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for synset, first in (("04379243", 47), ("03636649", 24)):
        for k in range(10):
            points = RNG.uniform(-0.5, 0.5, (320, 3))
            normals = RNG.standard_normal((320, 3))
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            parts = first + (points[:, 1] > 0)
            shape = f"{synset}/{k:032x}"
            lines = [
                " ".join(f"{v:.6f}" for v in (*xyz, *n)) + f" {part:.6f}"
                for xyz, n, part in zip(points, normals, parts, strict=True)
            ]
            written(root / f"{shape}.txt", "\n".join(lines) + "\n")
            lists["train" if k < 6 else "val" if k < 8 else "test"].append(f"shape_data/{shape}")
    for part, names in lists.items():
        written(root / "train_test_split" / f"shuffled_{part}_file_list.json", json.dumps(names))
    written(root / "synsetoffset2category.txt", "Lamp\t03636649\nTable\t04379243\n")
    return root


def scanobjectnn(folder: Path) -> Path:
    """Clouds of 2,048 points of two classes, with their background mask; another variant lies beside them."""
    import h5py

    root = folder / "h5_files"
    (root / "main_split").mkdir(parents=True)
    for part, count in (("training", 12), ("test", 6)):
        labels = np.where(np.arange(count) % 2, 13, 2)  # sofa and box
        shapes = np.where((labels == 13)[:, None, None], (1.0, 0.3, 0.1), (0.5, 0.5, 0.5))
        clouds = (RNG.uniform(-1, 1, (count, 2048, 3)) * shapes).astype(np.float32)
        mask = np.where(RNG.random((count, 2048)) < 0.2, -1, labels[:, None])
        for variant in ("_augmentedrot_scale75", ""):
            with h5py.File(root / "main_split" / f"{part}_objectdataset{variant}.h5", "w") as file:
                file["data"], file["label"], file["mask"] = clouds, labels, mask
    return root


LAYOUTS: dict[str, Maker] = {
    "msd-hippocampus": msd_hippocampus,
    "luna16": luna16,
    "eurosat": eurosat,
    "bigearthnet-v2": bigearthnet,
    "camelyon16": camelyon16,
    "nct-crc": nct_crc,
    "patchcamelyon": patchcamelyon,
    "ucf101": ucf101,
    "davis-2017": davis,
    "esc-50": esc50,
    "speech-commands": speech_commands,
    "modelnet40": modelnet40,
    "shapenetpart": shapenetpart,
    "scanobjectnn": scanobjectnn,
}
