"""Which files are label masks, and whose: masks are never trained on as images."""

from __future__ import annotations

import fnmatch
import os
import posixpath
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ssl_platform.data.claims import Claims
from ssl_platform.data.dataset_json import find_dataset_json
from ssl_platform.data.names import counted, listing, portable, stem
from ssl_platform.data.table import TABLE_SUFFIXES
from ssl_platform.errors import DataError, LabelError
from ssl_platform.types import Row

FOLDER_PATTERNS = ("labels*", "masks*", "seg*", "annotations*")
FILE_ENDINGS = ("_mask", "_seg", "_label", "_gt")
FILE_WORDS = frozenset({"label", "labels", "mask", "masks", "seg", "segmentation", "segmentations"})
_NOT_MASKS = (*TABLE_SUFFIXES, ".json", ".txt", ".md", ".yaml", ".yml", ".xml", ".html", ".pdf")


def set_aside(
    paths: Sequence[str],
    include: str | None = None,
    *,
    roots: Iterable[str | Path] = (),
    masks: Iterable[str | Path] = (),
    suffixes: Sequence[str] = (),
) -> tuple[list[str], dict[str, str]]:
    """Part candidates into images and masks.

    Masks are: files in a folder `labels*`, `masks*`, `seg*` or `annotations*` (DAVIS) beside an image folder (or beside
    images); a file `X_mask`, `X_seg`, `X_label` or `X_gt` beside an image `X..`; a file called `segmentation` (or
    `mask`, `labels`) beside an image; and what is named in `masks`. A root is what the user asked for, whatever its
    name.

    Args:
        paths: absolute candidates.
        include: `data.include`: a glob over relative paths or names; matching files are images, unless in `masks`.
        roots: folders that relative paths start from; the longest that fits; by default the common folder.
        masks: files and folders known to be masks (a manifest's `mask` column, `--labels FOLDER`).
        suffixes: the domain's file endings.

    Returns:
        The images in their order, and the masks with the reason of each.
    """
    starts = {posixpath.abspath(root) for root in roots}
    if not starts and paths:
        starts = {posixpath.commonpath([posixpath.dirname(path) for path in paths])}
    named = {posixpath.abspath(mask) for mask in masks}
    by_root: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_root[_root_of(path, starts)].append(path)
    aside: dict[str, str] = {}
    for root, members in by_root.items():
        relative = {path: portable(path[len(root.rstrip("/")) + 1 :] if root else _name(path)) for path in members}
        folders = _mask_folders(relative.values())
        beside = _beside_images(relative, suffixes)
        for path, name in relative.items():
            folder = next((above for above in _above(name) if above in folders), None)
            if named and (path in named or _root_of(path, named)):
                aside[path] = "named as masks"
            elif include is not None and fits(name, include):
                continue
            elif folder is not None:
                aside[path] = f"in {posixpath.join(root, folder)}"
            elif path in beside:
                aside[path] = f"named like masks, such as {name}"
    return [path for path in paths if path not in aside], aside


def aside_lines(aside: Mapping[str, str]) -> list[str]:
    """The lines to print about masks set aside, one a reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for path, why in aside.items():
        reasons["named like masks" if why.startswith("named like") else why].append(path)
    return [
        f"masks set aside, not used as images: {counted(len(files), 'file')} {why}, such as {_name(files[0])} "
        "(data.include=GLOB overrides)"
        for why, files in sorted(reasons.items())
    ]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _root_of(path: str, roots: set[str]) -> str:
    """The nearest of the roots above a path, or an empty string."""
    above = path
    while above not in ("", "/"):
        above = posixpath.dirname(above)
        if above in roots:
            return above
    return ""


def fits(name: str, pattern: str) -> bool:
    """Whether a glob fits a relative path or its last component."""
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(_name(name), pattern)


def _above(name: str) -> tuple[str, ...]:
    """Folders of a relative path, outermost first."""
    return _with_parents(posixpath.dirname(name))


@lru_cache(maxsize=4096)
def _with_parents(folder: str) -> tuple[str, ...]:
    return (*_with_parents(posixpath.dirname(folder)), folder) if folder else ()


def _mask_folders(relative: Iterable[str]) -> set[str]:
    """Folders that look like mask folders and have images beside them."""
    looks: dict[str, bool] = {}
    images_in = set()
    for name in relative:
        above = _above(name)
        for folder in above:
            if folder not in looks:
                last = _name(folder).lower()
                looks[folder] = any(fnmatch.fnmatchcase(last, pattern) for pattern in FOLDER_PATTERNS)
        if not any(looks[folder] for folder in above):
            images_in.update(["", *above])
    return {folder for folder, yes in looks.items() if yes and posixpath.dirname(folder) in images_in}


def _beside_images(relative: Mapping[str, str], suffixes: Sequence[str]) -> set[str]:
    """Paths named like a mask of another file in their folder."""
    folders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path, name in relative.items():
        folders[posixpath.dirname(name)].append((path, stem(name, suffixes).lower()))
    found = set()
    for members in folders.values():
        images = sorted(name for _, name in members if not _mask_name(name))
        for path, name in members if images else ():
            if _mask_name(name) and (name in FILE_WORDS or _has_image(base_stem(name), images)):
                found.add(path)
    return found


def _mask_name(name: str) -> bool:
    return name in FILE_WORDS or base_stem(name) != name


def _has_image(base: str, images: Sequence[str]) -> bool:
    """Whether one of the sorted stems is `base` or starts with `base_`."""
    return any(
        position < len(images) and (images[position] == base or images[position].startswith(base + "_"))
        for position in (bisect_left(images, base), bisect_left(images, base + "_"))
    )


def base_stem(name: str) -> str:
    """A stem less `_mask`, `_seg`, `_label` or `_gt`."""
    for ending in FILE_ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def claims_of_mask_folder(
    folder: Path, rows: Sequence[Row], suffixes: Sequence[str] = (), allow_unmatched: bool = False
) -> Claims:
    """Masks of a folder for the rows they belong to: same relative path, else same stem less `_mask` and its like.

    Where no file of it could be a mask, its innermost folders are: those of the frames of a video each.

    Raises:
        DataError: the folder holds no mask.
        LabelError: a mask fits two items, two masks fit one item, none fits, or fewer than half do.
    """
    files = _mask_files(folder, suffixes) or _inner_folders(folder)
    if not files:
        raise DataError(f"--labels {folder}: the folder holds no mask file (a table is given by its file name)")
    by_path, by_stem = _row_names(rows, suffixes)
    row = np.full(len(files), -1, dtype=np.int64)
    owner: dict[int, str] = {}
    for k, name in enumerate(files):
        found = by_path.get(name) or by_stem.get(base_stem(stem(name, suffixes))) or by_stem.get(stem(name, suffixes))
        if not found:
            continue
        if len(found) > 1:
            a, b = sorted(rows[i].id for i in found[:2])
            raise LabelError(f"mask {name!r} of {folder} fits two items, {a!r} and {b!r}: keep the images' folders")
        if found[0] in owner:
            raise LabelError(
                f"two masks of {folder} fit {rows[found[0]].id!r}: {owner[found[0]]!r} and {name!r}: remove one"
            )
        row[k], owner[found[0]] = found[0], name
    unmatched = [name for name, i in zip(files, row, strict=True) if i < 0]
    _check_masks(folder, files, unmatched, rows, allow_unmatched)
    description = find_dataset_json(folder)
    notes = [f"masks: {counted(len(owner), 'item')} with a mask in {folder}, {len(rows) - len(owner):,} without"]
    if description is not None and description.classes:
        notes.append(f"masks: classes {listing(list(description.classes.values()))} named by {description.path}")
    paths = [str(folder.absolute() / name) for name in files]
    classes = description.classes if description is not None else {}
    claims = Claims(str(folder), lambda i: files[i], list(files), columns={"mask": paths}, row=row, classes=classes)
    claims.notes = notes
    return claims


def _mask_files(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Relative paths of the masks of a folder, sorted."""
    files = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            lower = name.lower()
            if not name.startswith(".") and not lower.endswith(_NOT_MASKS) and lower.endswith(tuple(suffixes) or ""):
                files.append(portable(posixpath.relpath(posixpath.join(place, name), folder)))
    return files


def _inner_folders(folder: Path) -> list[str]:
    """Relative paths of the folders under one that hold files and no folders, sorted."""
    walk = list(os.walk(folder))
    return sorted(portable(posixpath.relpath(place, folder)) for place, inner, names in walk[1:] if names and not inner)


def _row_names(rows: Sequence[Row], suffixes: Sequence[str]) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Rows by every trailing part of their path that a mask may share, and by stem."""
    by_path: dict[str, list[int]] = defaultdict(list)
    by_stem: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        item = portable(row.id)
        # `--data set` makes ids `imagesTr/a.nii.gz`, `--data set/imagesTr` makes `a.nii.gz`: masks leave out the
        # image folder, so the path is compared with and without it.
        for name in {item, item.partition("/")[2]} - {""}:
            by_path[name].append(i)
        for name in {stem(item, suffixes), stem(portable(row.path), suffixes)}:
            by_stem[name].append(i)
    return by_path, by_stem


def _check_masks(
    folder: Path, files: Sequence[str], unmatched: Sequence[str], rows: Sequence[Row], allow_unmatched: bool
) -> None:
    """Stop when nothing or too little matched."""
    example = rows[0].id if rows else "no item"
    if len(unmatched) == len(files):
        raise LabelError(
            f"no mask of {folder} fits an item: {files[0]!r} there, {example!r} in the data; "
            "a mask has its image's relative path or stem (and may end in _mask, _seg, _label or _gt)"
        )
    if 2 * len(unmatched) > len(files) and not allow_unmatched:
        raise LabelError(
            f"only {len(files) - len(unmatched)} of {len(files)} masks of {folder} fit an item: {unmatched[0]!r} does "
            f"not ({example!r} is in the data); correct them or pass labels.allow_unmatched=true"
        )
