from __future__ import annotations

import math

import pytest

from ssl_platform.report.markup import Html, duration, number, table, tag

ATTACK = "</script><img src=x onerror=alert(1)>\"'&"


def test_text_and_attributes_are_escaped() -> None:
    made = tag("p", ATTACK, title=ATTACK)
    assert "<img" not in made and "</script" not in made and made.count('"') == 2


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "a & b"), [" c", None]) == "<p><b>a &amp; b</b> c</p>"


def test_a_plain_text_that_looks_like_markup_is_text() -> None:
    assert tag("p", str(Html("<b>"))) == "<p>&lt;b&gt;</p>"


def test_attributes_are_words() -> None:
    assert (
        tag("img", alt="", class_="a", data_place=3, hidden=True, id=None)
        == '<img alt="" class="a" data-place="3" hidden>'
    )


def test_a_table_names_rows_and_columns() -> None:
    made = table(["a", "b"], [("x", 1)], "what it shows")
    assert '<th scope="col">a</th>' in made and '<th scope="row">x</th><td>1</td>' in made and "what it shows" in made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        (12345.6, "12,346"),
        (3.0, "3"),
        (0, "0"),
        (1.5e-7, "1.50e-07"),
        (-0.25, "-0.25"),
        (999.9, "1,000"),
        (None, "\N{EN DASH}"),
        (math.nan, "nan"),
    ],
)
def test_numbers_as_people_read_them(value: float | None, text: str) -> None:
    assert number(value) == text


def test_durations() -> None:
    assert [duration(s) for s in (8.2, 59.6, 200, 3900)] == ["8 s", "1 min 00 s", "3 min 20 s", "1 h 05 min"]
