"""What the sample sets of domains share."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ssl_platform.data.sample_set import plan_groups, write_once


def test_a_set_is_written_once_and_again_when_asked_for_another_or_cut_short(tmp_path: Path) -> None:
    written: list[int] = []

    def write() -> list[dict[str, str]]:
        written.append(1)
        return [{"path": "a", "label": "x"}, {"path": "b", "label": "y"}]

    manifest = write_once(tmp_path, {"version": 1, "items": 2}, write)
    assert manifest.read_text() == "path,label\na,x\nb,y\n"
    assert write_once(tmp_path, {"version": 1, "items": 2}, write) == manifest and len(written) == 1
    write_once(tmp_path, {"version": 2, "items": 2}, write)
    assert len(written) == 2

    def cut_short() -> list[dict[str, str]]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_once(tmp_path, {"version": 3, "items": 2}, cut_short)
    write_once(tmp_path, {"version": 2, "items": 2}, write)  # the files may be those of version 3
    assert len(written) == 3 and sorted(p.name for p in tmp_path.iterdir()) == ["manifest.csv", "sample.json"]


def test_groups_are_whole_and_classes_equally_frequent_in_every_split() -> None:
    plan = plan_groups(("a", "b", "c"), 180, np.random.default_rng(0), train=0.5, val=0.2)
    assert Counter(item.label for item in plan) == {"a": 60, "b": 60, "c": 60}
    counts = Counter((item.label, item.split) for item in plan)
    for label in "abc":
        assert abs(counts[label, "train"] - 30) <= 2 and abs(counts[label, "val"] - 12) <= 2
    parts: dict[int, set[tuple[str, str]]] = {}
    for item in plan:
        parts.setdefault(item.group, set()).add((item.label, item.split))
    assert all(len(found) == 1 for found in parts.values())
    sizes = Counter(Counter(item.group for item in plan).values())
    assert set(sizes) == {1, 2} and 0.15 < sizes[2] / len(parts) < 0.45
