from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.fit import fit
from ssl_platform.errors import Unreadable
from ssl_platform.testing.toy_domain import ToyDomain
from ssl_platform.types import Row


class Scaled(ToyDomain):
    """Its scale is the largest the rows name; shapes follow the manifest's `shape`."""

    def fit(self, row: Row) -> Row:
        if row.meta.get("shape") == "bad":
            raise Unreadable("manifest column 'shape' is 'bad'")
        edge = int(row.meta.get("shape") or row.shape[0])
        return row.replace(shape=(edge,) * 3, dtype=f"float{int(self.options.scale)}")

    def settle(self, rows: Iterable[Row]) -> dict[str, tuple[Any, str]]:
        return {"scale": (16.0, f"{sum(1 for _ in rows)} rows")} if self.options.scale == 1.0 else {}


def catalog(n: int = 4) -> Catalog:
    rows = [Row(f"{i}", f"/{i}", (8, 8, 8), channels=("c0",)) for i in range(n)]
    return Catalog.of(rows).with_columns(source=[f"s{i}" for i in range(n)])


def test_columns_overrule_the_header_and_options_are_settled() -> None:
    found = fit(catalog(), Scaled(), [(1, {"shape": "5"}), (2, {"shape": "bad"})])
    assert [r.id for r in found.catalog.rows()] == ["0", "1", "3"]
    assert [r.shape[0] for r in found.catalog.rows()] == [8, 5, 8]
    assert found.catalog.column("source") == ["s0", "s1", "s3"]
    assert [q.reason for q in found.quarantined] == ["manifest column 'shape' is 'bad'"]
    assert found.settled == {"scale": (16.0, "3 rows")}
    assert found.domain.options.scale == 16.0 and set(found.catalog.column("dtype")) == {"float16"}


def test_a_domain_without_rules_leaves_the_catalog_alone() -> None:
    before = catalog()
    found = fit(before, ToyDomain())
    assert found.catalog is before and not found.settled
    told = fit(before, ToyDomain(), [(0, {"spacing": "1"})])
    assert told.catalog.row(0).meta == {"spacing": "1"} and told.catalog.row(1).meta == {}
