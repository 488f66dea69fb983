"""What readers noted, said once."""

from ssl_platform.data.catalog import Catalog
from ssl_platform.data.notes import MOST, note_lines, odd_lines
from ssl_platform.types import Row


def catalog(*notes):
    rows = [Row(f"i{n}", "p", (4,), meta={"note": note} if note else {}) for n, note in enumerate(notes)]
    return Catalog.of(rows)


def test_each_thing_once_with_a_count_and_an_example():
    found = note_lines(catalog(None, "turned; cut", "turned", None))
    assert found == ["noted: turned (2 items, such as i1)", "noted: cut (1 item, such as i1)"]
    assert note_lines(catalog(None, None)) == []


def test_many_different_ones_are_counted():
    found = note_lines(catalog(*(f"stream {n}" for n in range(MOST + 3))))
    assert len(found) == MOST + 1 and found[-1] == "noted: 3 other things, each in its item's note"


def test_items_odd_in_the_same_way_share_a_line():
    odd = {"a": "values span 1,200.5", "b": "silent", "c": "values span 3e+05", "d": "values span 7"}
    assert odd_lines(odd, 2) == [
        "unlike its set: a: values span 1,200.5; likewise 2 others: c and 1 more",
        "unlike its set: b: silent",
    ]
