"""docs/data.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ssl_platform.data.claims import PLAIN

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed = re.findall(r"```(?:python)?\n(.*?)```", PAGE.split("## From Python")[1], re.DOTALL)[:2]
    exec(compile(code, "docs/data.md", "exec"), {})
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("column", ["path", "path:T1", "label", *PLAIN])
def test_every_column_is_explained(column: str) -> None:
    assert f"| `{column}`" in PAGE


def test_labels_and_splits_import_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from ssl_platform.data import labels, splits, summary, manifest, leaks, fraction, mask_check; "
        "sys.exit(any(m in sys.modules for m in ('torch', 'pandas', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
