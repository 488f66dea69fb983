from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform.downloads import tell_dataset, verify_download, write_rows
from ssl_platform.errors import DataError
from ssl_platform.plugins import registry

PLUGIN = """
from ssl_platform.plugins import DatasetDeclaration, hookimpl
SSL_PLATFORM_API = 1

@hookimpl
def ssl_platform_datasets():
    return [
        DatasetDeclaration(
            "toyset",
            "plugin_acme_toys:rows",
            items=2,
            sizes={"train": 2},
            files=("*.toy", "*.toylist"),
            url="https://example.org/toys",
        ),
        DatasetDeclaration("described", "", files=("*.thing", "list.txt"), facts={"adapter": "comes later: no reader"}),
    ]

def rows(folder):
    for name in (folder / "all.toylist").read_text().split():
        yield {"path": f"{name}.toy", "mask": f"{name}.toy.mask", "split": "train"}
"""


@pytest.fixture
def toys(install: Callable[..., str], tmp_path: Path) -> Path:
    """A download of two items, one of which came without its mask."""
    install("acme-toys", PLUGIN)
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "all.toylist").write_text("a b")
    for name in ("a.toy", "a.toy.mask", "b.toy"):
        (folder / name).write_text("x")
    return folder


def test_a_download_is_complete_or_says_why_not(toys: Path) -> None:
    dataset = registry().dataset("toyset")
    with pytest.raises(DataError, match=r"no such folder; toyset is found at https://example\.org/toys"):
        verify_download(dataset, toys / "absent")
    (toys / "nothing").mkdir()
    with pytest.raises(DataError, match=r"nothing of toyset is in it; it is found at https://example\.org/toys"):
        verify_download(dataset, toys / "nothing")
    assert verify_download(dataset, toys).problems == ["b.toy.mask: missing"]
    (toys / "b.toy.mask").write_text("")
    (toys / "a.toy").write_text("version https://git-lfs.github.com/spec/v1")
    assert verify_download(dataset, toys).problems == [
        "a.toy: a Git LFS pointer, not the file itself: fetch it with git lfs pull",
        "b.toy.mask: empty",
    ]
    (toys / "a.toy").write_text("x")
    (toys / "b.toy.mask").write_text("x")
    found = verify_download(dataset, toys)
    assert (found.items, found.splits, found.problems) == (2, {"train": 2}, [])
    (toys / "all.toylist").write_text("a")
    assert verify_download(dataset, toys).problems == [
        "1 items, a complete download has 2",
        "train: 1 items, the published split has 2",
    ]


def test_a_dataset_is_told_from_its_files(toys: Path, tmp_path: Path) -> None:
    assert tell_dataset(toys).name == "toyset"
    (toys / "list.txt").write_text("x")
    assert tell_dataset(toys).name == "toyset"
    (toys / "a.thing").write_text("x")
    with pytest.raises(DataError, match="told from its files: it could be described or toyset; say which"):
        tell_dataset(toys)
    with pytest.raises(DataError, match="no dataset is told from its files; say which"):
        tell_dataset(tmp_path)


def test_what_an_adapter_yields_becomes_a_manifest(toys: Path, tmp_path: Path) -> None:
    """Paths are relative to a manifest that lies above the download, else absolute."""
    dataset = registry().dataset("toyset")
    write_rows(dataset, toys, tmp_path / "rows.csv")
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines == ["path,mask,split", "toys/a.toy,toys/a.toy.mask,train", "toys/b.toy,toys/b.toy.mask,train"]
    write_rows(dataset, toys, tmp_path / "beside" / "rows.csv")
    assert (tmp_path / "beside" / "rows.csv").read_text().splitlines()[1] == f"{toys}/a.toy,{toys}/a.toy.mask,train"
    (toys / "all.toylist").write_text("")
    with pytest.raises(DataError, match="nothing of toyset is in it"):
        write_rows(dataset, toys, tmp_path / "none.csv")
    assert not (tmp_path / "none.csv").exists()


def test_a_dataset_without_an_adapter_is_checked_by_its_names(toys: Path, tmp_path: Path) -> None:
    dataset = registry().dataset("described")
    (toys / "a.thing").write_text("x")
    found = verify_download(dataset, toys)
    assert found.problems == ["list.txt: nothing like it is there"] and "no adapter yet" in found.read
    with pytest.raises(DataError, match=r"no adapter yet \(comes later: no reader\): write a manifest by hand"):
        write_rows(dataset, toys, tmp_path / "rows.csv")
