"""The page of a run in headless Chromium: nothing asked for, nothing complained about, everything drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ssl_platform.report import page
from ssl_platform.testing.run_folder import write_run

DRAWN = """
[...document.querySelectorAll('canvas')].map((canvas) => {
  const {width, height} = canvas;
  const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0;
  return inked / (width * height);
})
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run", steps=400, items=300)


@pytest.fixture(scope="module")
def url(run: Path) -> str:
    return page.write(run).as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_opens_offline_and_draws_everything(
    browser: Any, url: str, width: int, dark: bool, contrast: str
) -> None:
    opened = browser.open(url, width, dark=dark)
    assert opened.complaints == []
    assert [r for r in opened.requests if not r.startswith("data:")] == [url]
    charts, points = opened.evaluate("document.documentElement.dataset.ready").split()[0::2]
    assert int(charts) >= 12 and points == "300"
    inked = opened.evaluate(DRAWN)
    assert len(inked) >= 13 and min(inked) > 0.003
    assert opened.evaluate("document.documentElement.scrollWidth") == width
    assert opened.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert opened.load_ms < 5000
    assert opened.evaluate(contrast) == []


def test_the_page_reads_in_both_schemes(browser: Any, url: str) -> None:
    grounds = [
        browser.open(url, 800, dark=dark).evaluate("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    assert grounds[0] != grounds[1]


def test_curves_are_read_by_pointer_and_keyboard(browser: Any, url: str) -> None:
    opened = browser.open(url, 1280)
    read = "document.querySelector('[data-chart=loss] .readout').textContent"
    place = """(() => { const c = document.querySelector('[data-chart=loss] canvas');
        c.scrollIntoView({block: 'center'}); const r = c.getBoundingClientRect();
        return [r.x + r.width / 2, r.y + r.height / 2]; })()"""
    opened.hover(*opened.evaluate(place))
    assert "loss (running mean)" in opened.evaluate(read)
    other = opened.evaluate("document.querySelector('[data-chart=lr] .readout').textContent")
    assert opened.evaluate(read).split(",")[0] == other.split(",")[0], "all charts show the same step"
    opened.evaluate("document.querySelector('[data-chart=loss] canvas').focus()")
    opened.press("End")
    assert opened.evaluate(read).startswith("step 400,")
    opened.press("ArrowLeft")
    assert opened.evaluate(read).startswith("step 399,")
    assert opened.complaints == []


def test_the_log_scale_draws_another_curve(browser: Any, url: str) -> None:
    opened = browser.open(url, 1280)
    picture = "document.querySelector('[data-chart=loss] canvas').toDataURL()"
    before = opened.evaluate(picture)
    opened.evaluate("document.querySelector('[data-chart=loss] .log').click()")
    assert opened.evaluate(picture) != before
    assert opened.evaluate("document.querySelector('[data-chart=loss] .log').getAttribute('aria-pressed')") == "true"


def test_the_map_shows_pictures_and_hides_classes(browser: Any, url: str) -> None:
    opened = browser.open(url, 1280)
    opened.evaluate("document.querySelector('.plane canvas').focus()")
    opened.press("ArrowRight")
    assert opened.evaluate("document.querySelector('.map .readout').textContent").startswith("item item")
    seen = set()
    for _ in range(60):
        opened.press("ArrowRight")
        seen.add(opened.evaluate("!!document.querySelector('.tip:not([hidden]) img')"))
    assert seen == {True, False}, "some items have pictures"
    opened.press("Escape")
    assert opened.evaluate("document.querySelector('.tip').hidden")
    picture = "document.querySelector('.plane canvas').toDataURL()"
    before = opened.evaluate(picture)
    opened.evaluate("document.querySelector('.legend button').click()")
    assert opened.evaluate(picture) != before
    assert opened.complaints == []


def test_settings_are_found(browser: Any, url: str) -> None:
    opened = browser.open(url, 1280)
    opened.evaluate("""(() => { const f = document.querySelector('.find'); f.value = 'optim lr';
        f.dispatchEvent(new Event('input')); })()""")
    left = "[...document.querySelectorAll('.settings [data-key]:not([hidden])')].map((r) => r.dataset.key).join()"
    assert opened.evaluate(left) == "optim.lr"


def test_the_policy_stops_what_is_not_ours(browser: Any, url: str) -> None:
    opened = browser.open(url, 1280)
    opened.evaluate("""(() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1';
        document.body.append(s); const i = new Image(); i.src = 'https://example.org/x.png';
        document.body.append(i); })()""")
    browser.settle(0.2)
    assert opened.evaluate("window.hacked === undefined")
    assert any("Content Security Policy" in text for text in opened.complaints)


def test_the_anonymous_page_works_too(browser: Any, run: Path) -> None:
    opened = browser.open(page.write(run, anonymous=True).as_uri(), 390)
    assert opened.complaints == [] and min(opened.evaluate(DRAWN)) > 0.003
    assert opened.evaluate("document.images.length") == 0
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
