"""The parts of a run's page, in the order they are read: verdict first."""

from __future__ import annotations

import numpy as np

from ssl_platform.report.content import Content
from ssl_platform.report.curves import Chart
from ssl_platform.report.figures import Score
from ssl_platform.report.markup import NONE, Html, number, table, tag
from ssl_platform.report.section import Section, lead

_ICONS = {"healthy": "✓", "stalling": "≈", "collapsed": "✕", "undetermined": "?"}
_WORDS = {
    "healthy": "Healthy",
    "stalling": "Stalling",
    "collapsed": "Collapsed",
    "undetermined": "Undetermined",
}


# ------------------------------------------------------------------------------------------------------------- head
def head(content: Content) -> Html:
    """Verdict, what ran, and the figures that matter."""
    kind = content.verdict or ("failed" if content.status == "failed" else "none")
    if content.verdict:
        title = _WORDS.get(content.verdict, content.verdict)
        cause = content.cause
    elif content.comparison is not None:
        title, cause = content.comparison.title()
    elif content.scores:
        title = f"{content.scores[0].name} {content.scores[0].value}"
        cause = _beside(content.scores[0])
    else:
        title, cause = content.command.capitalize(), ""
    figures = [
        tag("div", tag("dt", f.name), tag("dd", f.value), tag("dd", f.note, class_="note") if f.note else None)
        for f in content.figures
    ]
    return tag(
        "header",
        tag("p", " · ".join([content.command, *content.about]), class_="about"),
        tag(
            "h1",
            tag("span", _ICONS[kind], class_="icon", aria_hidden="true") if kind in _ICONS else None,
            title,
        ),
        tag("p", cause, class_="cause") if cause else None,
        _status(content),
        tag("dl", figures, class_="figures") if figures else None,
        class_=f"head {kind}",
    )


def _status(content: Content) -> Html | None:
    if content.status == "done" or not content.status:
        return None
    text = {
        "running": "This run had not ended when the page was written.",
        "stopped": "This run was stopped before its last step.",
        "failed": "This run failed.",
    }.get(content.status, content.status)
    return tag("p", f"{text} {content.error}".strip(), class_="status")


def banner(content: Content) -> Html | None:
    """For data that are people."""
    if not content.banner:
        return None
    return tag(
        "p",
        tag("strong", "This page contains pictures of people: do not share it. "),
        "ssl-platform report RUN --anonymous writes one without pictures, names and paths.",
        class_="banner",
        role="note",
    )


def _beside(score: Score) -> str:
    return ", ".join(f"{word} {value}" for word, value in score.beside.items())


def scores(content: Content) -> Section | None:
    """Results of evaluations beside their baselines."""
    if not content.scores or (content.verdict and len(content.scores) == 1 and "[" not in content.scores[0].value):
        return None
    words = sorted({word for score in content.scores for word in score.beside})
    rows = [(s.name, s.value, *(s.beside.get(w, NONE) for w in words), s.over or NONE) for s in content.scores]
    columns = ["metric", "value [95 % interval]", *words, "interval over"]
    shown = table(columns, rows, "Results and baselines", class_="numbers")
    note = lead(f"{content.overlap[0].upper()}{content.overlap[1:]}.") if content.overlap else None
    return Section("results", "Results", "Results", tag("div", note, shown))


# ----------------------------------------------------------------------------------------------------------- charts
def chart(one: Chart, size: str) -> Html:
    """A drawing with its title, its current value, how to read it, and the numbers as a table."""
    rows = []
    for name, (x, y) in one.series:
        low, high = int(np.argmin(y)), int(np.argmax(y))
        ends = (number(y[0], 4), f"{number(y[low], 4)} at {x[low]:,.0f}", f"{number(y[high], 4)} at {x[high]:,.0f}")
        rows.append((name, *ends, number(y[-1], 4)))
    rows += [(line.name, "", "", "", number(line.y, 4)) for line in one.lines]
    several = [name for name, _ in one.series] if len(one.series) > 1 and one.id != "loss" else []
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", one.title),
            tag("output", one.now, class_="now") if one.now else None,
            tag("button", "log scale", type="button", class_="log", aria_pressed="false") if one.log else None,
            tag("p", one.text) if one.text else None,
            tag("ul", [tag("li", name) for name in several], class_="key") if several else None,
        ),
        tag("canvas", role="img", tabindex="0", aria_label=f"{one.title} by step; arrow keys read values"),
        tag("p", class_="readout", aria_live="polite"),
        tag(
            "details",
            tag("summary", "numbers"),
            table(["", "first", "lowest", "highest", "last"], rows, f"{one.title} in numbers", class_="numbers"),
        ),
        class_=f"chart card {size}",
        data_chart=one.id,
    )


def health(content: Content) -> Section | None:
    """The numbers behind the verdict."""
    if not content.health:
        return None
    text = (
        "Measured on the same clean windows throughout the run. The dashed line is the same network before training, "
        "the red line the limit of a collapse."
    )
    cause = None
    if content.verdict:
        word = tag("strong", _WORDS.get(content.verdict, content.verdict))
        cause = tag("p", word, f": {content.cause}", class_=f"judged {content.verdict}")
    return Section("health", "Is it learning?", "Health", tag("div", lead(text), cause, _grid(content.health)))


def _grid(charts: list[Chart]) -> Html:
    """Charts side by side, three or four in a row: whichever leaves no chart alone in the last one."""
    four = len(charts) % 4 in (0, 3) or len(charts) % 3 == 1
    return tag("div", [chart(one, "small") for one in charts], class_="grid four" if four else "grid")


def curves(content: Content) -> Section | None:
    """The loss and what goes with it."""
    if not content.curves:
        return None
    wide = [chart(one, "wide") for one in content.curves if one.id == "loss"]
    rest = _grid([one for one in content.curves if one.id != "loss"])
    return Section("curves", "Training", "Training", tag("div", wide, rest))


# ---------------------------------------------------------------------------------------------------- what was done
def quarantine(content: Content) -> Section | None:
    """Items that could not be used."""
    if not content.quarantined:
        return None
    count = content.quarantined
    text = f"{count:,} {'item' if count == 1 else 'items'} could not be used and took no part."
    shown = None
    if content.quarantine:
        more = count - len(content.quarantine)
        text += f" The first {len(content.quarantine)} are listed; all are in quarantine.csv." if more > 0 else ""
        text += " Names are hashed here; quarantine.csv in the run folder has them." if content.banner else ""
        shown = table(["item", "reason"], content.quarantine, "Items that could not be used", class_="words")
    return Section("quarantine", "Set aside", "Set aside", tag("div", lead(text), shown))


def settings(content: Content) -> Section | None:
    """Every setting as resolved."""
    if not content.settings:
        return None
    unset = [key for key, value, _ in content.settings if value == NONE]
    groups: dict[str, list[Html]] = {}
    for key, value, why in content.settings:
        if value == NONE:
            continue
        group, _, name = key.rpartition(".")
        reason = tag("span", why, class_="why") if why else None
        row = tag("div", tag("dt", tag("code", name)), tag("dd", tag("code", value), reason), data_key=key)
        groups.setdefault(group, []).append(row)
    blocks = [tag("div", tag("h3", group or "run"), tag("dl", rows), class_="group") for group, rows in groups.items()]
    search = tag(
        "label",
        tag("span", "find a key ", class_="unseen"),
        tag("input", type="search", class_="find", placeholder="find a key", spellcheck="false"),
    )
    rest = tag("details", tag("summary", f"{len(unset)} keys without a value"), tag("p", tag("code", ", ".join(unset))))
    body = tag("div", search, tag("div", blocks, class_="settings"), rest if unset else None)
    return Section("settings", "Configuration", "Configuration", body)


def reproduce(content: Content) -> Section | None:
    """Commands, versions, methods and citation."""
    commands = [
        tag(
            "div",
            tag("h3", title),
            tag("pre", tag("code", text), tabindex="0"),
            tag("button", "copy", type="button", class_="copy"),
            class_="command",
        )
        for title, text in content.commands
    ]
    environment = None
    if content.environment:
        rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in content.environment]
        environment = tag("div", tag("h3", "Environment"), tag("dl", rows, class_="facts"))
    methods = tag("div", tag("h3", "Methods"), tag("p", content.methods)) if content.methods else None
    citation = None
    if content.citation:
        pre = tag("pre", tag("code", content.citation), tabindex="0")
        copy = tag("button", "copy", type="button", class_="copy")
        citation = tag("div", tag("h3", "Citation"), pre, copy, class_="command")
    parts = [*commands, environment, methods, citation]
    if not any(parts):
        return None
    return Section("reproduce", "How to reproduce it", "Reproduce", tag("div", parts))
