"""Tables that people write: UTF-8 CSV, TSV and Parquet files with a header.

What spreadsheet programs do to a CSV (a byte-order mark, `;` between values, decimal commas, Windows line ends) is
accepted and said. Everything is kept as text: what a column means is decided where it is used.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssl_platform.data.names import listing, nearest
from ssl_platform.errors import DataError

TEXT_SUFFIXES = (".csv", ".tsv", ".tab")
PARQUET_SUFFIXES = (".parquet", ".pq")
TABLE_SUFFIXES = TEXT_SUFFIXES + PARQUET_SUFFIXES
SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "<na>"})
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def missing(text: str) -> bool:
    """Whether a value says that nothing is known: empty, `NA`, `N/A`, `NaN`, `null` in any case."""
    return text.casefold() in _MISSING


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        path: where it was read from.
        columns: values by column name, in file order; missing values are empty strings.
        lines: line of each row in the file (row number for Parquet).
        notes: what was accepted although it is not plain UTF-8 CSV.
    """

    path: Path
    columns: dict[str, list[str]]
    lines: Sequence[int]
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """`labels.csv line 7`, for messages."""
        return f"{self.path.name} {'row' if isinstance(self.lines, range) else 'line'} {self.lines[row]}"

    def column(self, name: str, asked_by: str) -> list[str]:
        """The values of one column.

        Args:
            name: the column.
            asked_by: who wants it, for the message: `labels.group`.

        Raises:
            DataError: there is no such column.
        """
        if name not in self.columns:
            raise DataError(
                f"{self.path.name} has no column {name!r} ({asked_by}): its columns are "
                f"{listing(list(self.columns))}{nearest(name, self.columns)}"
            )
        return self.columns[name]


def read_table(path: str | Path) -> Table:
    """Read a CSV, TSV or Parquet file with a header.

    Raises:
        DataError: the file is absent, a spreadsheet, not UTF-8, has no rows, or a row does not fit the header.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in SPREADSHEETS:
        raise DataError(f"{path} is a spreadsheet: save as CSV (UTF-8) and give that file")
    if suffix not in TABLE_SUFFIXES:
        raise DataError(f"{path} is not a table: give a CSV, TSV or Parquet file with a header")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the table ({error.strerror or error})") from error
    table = _parquet(path) if suffix in PARQUET_SUFFIXES else _text(path, content)
    if not len(table):
        raise DataError(f"{path} has a header but no rows")
    return table


def _text(path: Path, content: bytes) -> Table:
    """Parse CSV or TSV bytes."""
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is a spreadsheet with another name: save as CSV (UTF-8) and give that file")
    if not content.strip():
        raise DataError(f"{path} is empty: it needs a header and rows")
    notes = ["a byte-order mark"] if content.startswith(b"\xef\xbb\xbf") else []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is not UTF-8 (byte 0x{content[error.start]:02x} in line {line}): save as CSV UTF-8"
        ) from error
    if b"\r" in content:
        notes.append("CRLF line ends")
    delimiter = _delimiter(path, text)
    if delimiter == ";":
        notes.append("';' between values")
    header, body, lines = _parse(path, text, delimiter)
    columns = {name: [row[i] for row in body] for i, name in enumerate(header)}
    if delimiter == ";" and _decimal_commas(columns):
        notes.append("decimal commas")
    said = (f"{path.name}: read with {', '.join(notes)}",) if notes else ()
    return Table(path, columns, lines, said)


def _delimiter(path: Path, text: str) -> str:
    """The delimiter of the header line: what occurs most outside quotes (a tab in a .tsv)."""
    header = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])
    if path.suffix.lower() != ".csv" and "\t" in header:
        return "\t"
    return max((",", ";", "\t"), key=header.count)


def _parse(path: Path, text: str, delimiter: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows of the header's length, and the line each row ends on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    header: list[str] = []
    body: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if not any(values):
                continue
            if not header:
                header = _header(path, values)
                continue
            while len(values) > len(header) and not values[-1]:
                values.pop()
            if len(values) != len(header):
                raise DataError(
                    f"{path.name} line {reader.line_num} has {len(values)} values and the header {len(header)}: "
                    f"quote values that contain {delimiter!r}"
                )
            body.append(["" if missing(value) else value for value in values])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path.name} line {reader.line_num}: {error}: check the quotes") from error
    return header, body, lines


def _header(path: Path, values: list[str]) -> list[str]:
    """The checked column names."""
    while values and not values[-1]:
        values.pop()
    for i, name in enumerate(values):
        if not name:
            # pandas writes its index as a column without a name.
            values[i] = f"column {i + 1}"
        elif name in values[:i]:
            raise DataError(f"{path.name} has two columns named {name!r}: rename or remove one")
    return values


def _decimal_commas(columns: dict[str, list[str]]) -> bool:
    """Turn `0,5` into `0.5` in columns that hold nothing but numbers; whether there were any."""
    found = False
    for name, values in columns.items():
        commas = sum(_DECIMAL_COMMA.fullmatch(value) is not None for value in values)
        if commas and all(not v or _DECIMAL_COMMA.fullmatch(v) or v.lstrip("+-").isdigit() for v in values):
            columns[name] = [value.replace(",", ".") for value in values]
            found = True
    return found


def _parquet(path: Path) -> Table:
    """Read a Parquet file as text."""
    import pyarrow
    import pyarrow.parquet

    try:
        arrow = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file ({str(error).splitlines()[0]})") from error
    columns = {}
    for name in arrow.column_names:
        column = arrow.column(name)
        if not pyarrow.types.is_nested(column.type):
            columns[name] = [_as_text(value) for value in column.to_pylist()]
    return Table(path, columns, range(1, arrow.num_rows + 1))


def _as_text(value: Any) -> str:
    """One Parquet value as a CSV would hold it."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    text = value.isoformat() if hasattr(value, "isoformat") else str(value).strip()
    return "" if missing(text) else text
