"""`metrics.csv`: one flushed row a logged step, with columns that may appear later."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from ssl_platform.train.atomic import write_text

Value = float | int | str | None
FIRST = ("step", "loss", "lr", "weight_decay", "grad_norm", "samples_per_second", "data_wait")


def read_rows(path: Path) -> list[dict[str, str]]:
    """All complete rows of a metrics file; a half-written last line (a killed run) is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(complete)) if None not in row.values()]


class MetricsFile:
    """Appends rows to `metrics.csv`.

    Args:
        path: the file.
        keep_until: rows after this step belong to a stretch that is trained again (resume) and are dropped.
    """

    def __init__(self, path: Path, keep_until: int | None = None) -> None:
        self.path = path
        rows = read_rows(path)
        if keep_until is not None:
            rows = [row for row in rows if int(float(row["step"])) <= keep_until]
        self.columns: list[str] = list(rows[0]) if rows else list(FIRST)
        self._rewrite(rows)

    def write(self, row: Mapping[str, Value]) -> None:
        """Append one row; new names widen the table (the file is rewritten once)."""
        new = [name for name in row if name not in self.columns]
        if new:
            rows = read_rows(self.path)
            self.columns += new
            self._rewrite(rows)
        with self.path.open("a", encoding="utf-8", newline="") as handle:
            csv.DictWriter(handle, self.columns, restval="", lineterminator="\n").writerow(
                {k: _text(v) for k, v in row.items()}
            )
            handle.flush()

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path, buffer.getvalue())


def _text(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.8g}" if isinstance(value, float) else str(value)
