"""Scanned rows under what is known beyond the file: a manifest's columns, the options, and the set as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ssl_platform.data.catalog import SCHEMA, Catalog, record
from ssl_platform.data.quarantine import Quarantined
from ssl_platform.errors import Unreadable
from ssl_platform.types import Row, Scalar

if TYPE_CHECKING:
    from ssl_platform.domain import Domain

_GROUP = 4096


@dataclass
class Fitted:
    """A catalog as it will be read.

    Attributes:
        catalog: rows in the grid windows are read from.
        domain: with the options that depended on the set settled.
        settled: those options, each with value and reason.
        quarantined: items for which a fact is missing.
    """

    catalog: Catalog
    domain: Domain
    settled: dict[str, tuple[Any, str]] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)


def fit(catalog: Catalog, domain: Domain, overrides: Iterable[tuple[int, Mapping[str, Scalar]]] = ()) -> Fitted:
    """Bring every row to its final grid.

    Args:
        catalog: scanned rows.
        domain: fits rows and settles its options.
        overrides: row numbers with the values of columns that overrule the file header; they join the row's meta.

    Returns:
        The fitted catalog, with the domain that reads it.
    """
    from ssl_platform.domain import Domain as Base

    told = {number: dict(values) for number, values in overrides}
    result = Fitted(catalog, domain)
    if told or type(domain).fit is not Base.fit:
        _pass(result, told)
    result.settled = dict(domain.settle(result.catalog.rows()))
    if result.settled:
        changed = {name.removeprefix("data."): value for name, (value, _) in result.settled.items()}
        options = type(domain.options).model_validate({**domain.options.model_dump(), **changed})
        result.domain = type(domain)(options)
        result.domain.cache = domain.cache
        _pass(result, {})
    return result


def _pass(result: Fitted, told: Mapping[int, Mapping[str, Scalar]]) -> None:
    """Fit all rows once; those that cannot be fitted leave the catalog."""
    table, tables = result.catalog.table, []
    for start in range(0, len(table), _GROUP):
        piece = table.slice(start, _GROUP)
        records, kept = [], []
        for i, row in enumerate(_rows(piece, start, told)):
            try:
                records.append(record(result.domain.fit(row)))
                kept.append(i)
            except Unreadable as error:
                result.quarantined.append(Quarantined(row.path, error.why))
        fitted = pa.Table.from_pylist(records, schema=SCHEMA)
        for name in piece.column_names:
            if name not in SCHEMA.names:
                values = piece.column(name).take(pa.array(kept, pa.int64()))
                fitted = fitted.append_column(piece.schema.field(name), values)
        tables.append(fitted)
    if tables:
        result.catalog = Catalog(pa.concat_tables(tables))


def _rows(piece: pa.Table, start: int, told: Mapping[int, Mapping[str, Scalar]]) -> Iterator[Row]:
    for i, row in enumerate(Catalog(piece).rows()):
        more = told.get(start + i)
        yield row.replace(meta={**row.meta, **more}) if more else row
