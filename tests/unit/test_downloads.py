from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_platform.downloads import verify_download
from ssl_platform.errors import DataError
from ssl_platform.plugins import registry

PLUGIN = """
from ssl_platform.plugins import DatasetDeclaration, hookimpl
SSL_PLATFORM_API = 1

@hookimpl
def ssl_platform_datasets():
    return [DatasetDeclaration("toyset", "plugin_acme_toys:rows", items=2, url="https://example.org/toys")]

def rows(folder):
    for path in sorted(folder.glob("*.toy")):
        yield {"path": path.name, "mask": path.name + ".mask", "split": "train"}
"""


def test_a_download_is_complete_or_says_why_not(install: Callable[..., str], tmp_path: Path) -> None:
    install("acme-toys", PLUGIN)
    dataset = registry().dataset("toyset")
    folder = tmp_path / "toys"
    with pytest.raises(DataError, match=r"no such folder; toyset is found at https://example\.org/toys"):
        verify_download(dataset, folder)
    folder.mkdir()
    with pytest.raises(DataError, match="nothing of it in"):
        verify_download(dataset, folder)
    (folder / "a.toy").write_text("x")
    with pytest.raises(DataError, match=r"1 files are missing or empty, the first .*a\.toy\.mask"):
        verify_download(dataset, folder)
    (folder / "a.toy.mask").write_text("x")
    with pytest.raises(DataError, match="1 items, a complete download has 2"):
        verify_download(dataset, folder)
    (folder / "b.toy").write_text("x")
    (folder / "b.toy.mask").write_text("x")
    assert verify_download(dataset, folder) == {
        "name": "toyset",
        "folder": str(folder),
        "items": 2,
        "splits": {"train": 2},
    }
