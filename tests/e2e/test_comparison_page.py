"""Pages of comparisons and evaluations in headless Chromium: tables sort, cells speak, nothing breaks when narrow."""

from __future__ import annotations

from typing import Any

import pytest

from ssl_platform import api
from ssl_platform.report import album as albums
from ssl_platform.report import page
from ssl_platform.testing.evaluation_folder import write_evaluation
from ssl_platform.testing.run_folder import album

COLUMN = """[...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[%d].dataset.value ?? null)
  .map((value) => (value === null ? null : Number(value)))"""
NAMES = "[...document.querySelectorAll('#table tbody th')].map((cell) => cell.textContent)"
PRESS = "document.querySelectorAll('#table thead button')[%d].click()"
MIDDLE = """(() => { const e = document.querySelector('%s'); e.scrollIntoView({block: 'center'});
  const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"""
SAID = "(() => { const t = document.querySelector('.tip.float'); return t.hidden ? '' : t.textContent; })()"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two methods of two seeds and one baseline under two protocols."""
    folder = tmp_path_factory.mktemp("compared")
    runs = []
    for seed in (0, 1):
        for method, skill in (("mae", 1.0), ("dino", 2.5)):
            run, encoder = folder / f"{method}-seed{seed}", folder / "pre" / f"{method}-{seed}"
            for protocol in ("knn", "linear"):
                write_evaluation(run, skill=skill, seed=seed, encoder=encoder, protocol=protocol, random=0.27)
            runs.append(run)
        runs.append(write_evaluation(folder / f"scratch{seed}", skill=1.4, seed=seed, command="finetune"))
    api.compare(runs=runs, overrides={"run": str(folder / "table")})
    return (folder / "table" / "report.html").as_uri()


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A probe with predictions and pictures."""
    run = write_evaluation(tmp_path_factory.mktemp("probes") / "probe", random=0.27)
    albums.save(album(60, sensitive=False, evaluated=True), run)
    return page.write(run).as_uri()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
@pytest.mark.parametrize("which", ["comparison", "evaluation"])
def test_pages_open_without_complaint(
    browser: Any, request: pytest.FixtureRequest, which: str, width: int, dark: bool, contrast: str
) -> None:
    opened = browser.open(request.getfixturevalue(which), width, dark=dark)
    assert opened.complaints == []
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    assert opened.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert opened.evaluate("document.querySelectorAll('.whisker circle').length") >= 4
    assert opened.evaluate(contrast) == []


def test_headings_sort_their_table(browser: Any, comparison: str) -> None:
    opened = browser.open(comparison, 1280)
    opened.evaluate(PRESS % 1)
    falling = opened.evaluate(COLUMN % 1)
    known = [value for value in falling if value is not None]
    assert known == sorted(known, reverse=True) and falling[len(known) :] == [None] * (len(falling) - len(known))
    assert opened.evaluate(NAMES)[0] == "dino"
    opened.evaluate(PRESS % 1)
    rising = [value for value in opened.evaluate(COLUMN % 1) if value is not None]
    assert rising == sorted(rising)
    assert opened.evaluate("document.querySelectorAll('#table [aria-sort]').length") == 1
    opened.evaluate(PRESS % 0)
    assert opened.evaluate(NAMES) == sorted(opened.evaluate(NAMES))
    assert opened.complaints == []


def test_cells_speak_when_pointed_at_and_by_keyboard(browser: Any, comparison: str, evaluation: str) -> None:
    opened = browser.open(comparison, 1280)
    place = opened.evaluate(MIDDLE % "#differences td[data-tip]")
    browser.settle(0.2)  # scrolling, which hides what is said, has ended
    opened.hover(*place)
    assert opened.evaluate(SAID).startswith("mae minus dino: -0.") and "over" in opened.evaluate(SAID)
    opened.hover(5, 5)
    assert opened.evaluate(SAID) == ""
    opened = browser.open(evaluation, 390)
    opened.evaluate("document.querySelector('.confusion td').focus()")
    assert "rise were taken for rise (" in opened.evaluate(SAID)
    place = opened.evaluate("(() => { const r = document.querySelector('.tip.float').getBoundingClientRect(); "
                            "return [r.left, r.right]; })()")  # fmt: skip
    assert 0 <= place[0] < place[1] <= 390
    opened.press("Escape")
    assert opened.evaluate(SAID) == ""
    assert opened.complaints == []
