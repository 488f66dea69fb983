"""`ssl-platform plugins`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.listing import named
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import aligned, show_facts, show_json, show_rows

if TYPE_CHECKING:
    from ssl_platform.testing.conformance import Outcome
    from ssl_platform.testing.conformance.matrix import Cell

WORDS = {
    "passed": "ok",
    "failed": "FAILED",
    "skipped": "skipped",
    "expected": "expected",
    "unexpected": "PASSED AFTER ALL",
}


def facts(name: str) -> dict[str, Any]:
    """All about one plugin, by entry-point or distribution name."""
    from ssl_platform.errors import PluginError, did_you_mean
    from ssl_platform.plugins import registry

    records = registry().records
    for record in records:
        if name in (record.name, record.distribution):
            return record.as_dict()
    names = [record.name for record in records]
    raise PluginError(f"no plugin {name!r}{did_you_mean(name, names)}; installed: {', '.join(names)}")


def requirements() -> list[str]:
    """Pins of everything installed that brings a plugin."""
    from ssl_platform.plugins import registry

    return sorted({f"{record.distribution}=={record.version}" for record in registry().records})


def expected_of(pairs: tuple[str, ...]) -> dict[str, str]:
    """`CHECK=REASON` of the command line.

    Raises:
        click.UsageError: one has no reason.
    """
    found = {}
    for pair in pairs:
        name, _, reason = pair.partition("=")
        if not name or not reason.strip():
            raise click.UsageError(f"--expect {pair}: write CHECK=REASON, with a reason")
        found[name] = reason.strip()
    return found


def check(name: str, everything: bool, as_json: bool, expected: dict[str, str]) -> None:
    """Hold a plugin to the conformance kit; exits 1 when a check fails."""
    from ssl_platform.testing.conformance import Kit

    subjects: list[str] = []

    def tell(outcome: Outcome) -> None:
        if as_json:
            return
        if outcome.subject not in subjects:
            subjects.append(outcome.subject)
            click.echo(outcome.subject)
        told = f": {outcome.cause}" if outcome.cause else ""
        line = f"  {WORDS[outcome.status]:8} {outcome.seconds:6.2f} s  {outcome.name:26} {outcome.about}{told}"
        click.secho(line, fg="red" if outcome.bad else None)
        if outcome.fix:
            click.echo(f"{'':20}  fix: {outcome.fix}")

    with Kit(name, everything=everything, expected=expected) as kit:
        report = kit.run(tell)
    if as_json:
        show_json({"name": name, "all": everything, **report.as_dict()})
    else:
        counts = ", ".join(f"{number} {WORDS[status].lower()}" for status, number in report.counts.items())
        click.echo(f"{name}: {counts}; {sum(o.seconds for o in report.outcomes):.0f} s")
    if report.failed:
        raise click.exceptions.Exit(1)


def matrix(name: str | None, as_json: bool) -> None:
    """Train every objective on every domain for a few steps; exits 1 when a pair that should fit fails."""
    from ssl_platform.plugins import registry
    from ssl_platform.testing.conformance import find
    from ssl_platform.testing.conformance.matrix import cells
    from ssl_platform.testing.conformance.subject import DomainUnderTest

    domains = find(name)[1] if name else registry().domains()
    found: list[Cell] = []
    for declared in domains:
        domain = DomainUnderTest(declared.name)
        try:
            for cell in cells(domain):
                found.append(cell)
                if not as_json and sys.stderr.isatty():
                    click.echo(f"{cell.domain} {cell.objective}: {cell.status} {cell.seconds:.2f} s", err=True)
        finally:
            domain.close()
    if as_json:
        show_json([cell.as_dict() for cell in found])
    else:
        show_matrix(found)
    if any(cell.status == "failed" for cell in found):
        raise click.exceptions.Exit(1)


def show_matrix(cells: list[Cell]) -> None:
    """A row an objective, a column a domain, seconds in the cells; then a line for each pair that did not train."""
    domains = list(dict.fromkeys(cell.domain for cell in cells))
    by_pair = {(cell.objective, cell.domain): cell for cell in cells}
    rows = [["OBJECTIVE", "FAMILY", *domains]]
    for objective, family in dict.fromkeys((cell.objective, cell.family) for cell in cells):
        row = [by_pair[objective, domain] for domain in domains]
        rows.append([objective, family, *(f"{c.seconds:.2f} s" if c.status == "passed" else c.status for c in row)])
    for line in aligned(rows):
        click.echo(line)
    for cell in cells:
        if cell.status != "passed":
            click.echo(f"{cell.objective} on {cell.domain}: {cell.status}: {cell.note}")
    trained = [cell.seconds for cell in cells if cell.status == "passed"]
    if trained:
        mean = sum(trained) / len(trained)
        click.echo(f"{len(trained)} of {len(cells)} pairs train; {mean:.2f} s each, {sum(trained):.0f} s in all")


@click.command(
    cls=Command,
    name="plugins",
    announce=False,
    short_help="What is installed, what is wrong with it; the conformance kit.",
)
@click.argument(
    "action", default="list", type=click.Choice(["list", "show", "check"]), metavar="[list|show NAME|check NAME]"
)
@click.argument("asked", required=False, metavar="")
@click.option("--requirements", "pins", is_flag=True, help="Print pins for pip install -r.")
@click.option("--all", "everything", is_flag=True, help="check: every objective that fits, not one a family.")
@click.option("--expect", multiple=True, metavar="CHECK=REASON", help="check: a failure that is known; repeatable.")
@click.option("--matrix", "as_matrix", is_flag=True, help="check: only train every objective on every domain.")
@json_option
def command(
    action: str,
    asked: str | None,
    pins: bool,
    everything: bool,
    expect: tuple[str, ...],
    as_matrix: bool,
    as_json: bool,
) -> None:
    """What is installed, from where, and what is wrong with it.

    The status is ok, broken, incompatible, conflict or disabled. SSL_PLATFORM_DISABLE_PLUGINS=a,b or
    --disable-plugin a leaves a plugin out.

    `check NAME` holds a plugin, a distribution or a domain to everything a plugin promises, on its own sample data, a
    row a check. `check --matrix [NAME]` trains every objective on every domain for five steps.
    """
    from ssl_platform.plugins import registry

    if action != "check" and (everything or expect or as_matrix):
        raise click.UsageError("--all, --expect and --matrix belong to ssl-platform plugins check")
    if pins:
        click.echo("\n".join(requirements()))
    elif action == "show":
        show_facts(facts(named("plugins", asked)), as_json)
    elif action == "check" and as_matrix:
        matrix(asked, as_json)
    elif action == "check":
        if asked is None:
            raise click.UsageError("plugins check needs a name: a plugin, a distribution or a domain")
        check(asked, everything, as_json, expected_of(expect))
    else:
        rows = [record.as_dict() for record in registry().records]
        show_rows(rows, ("name", "distribution", "version", "api", "status", "domains", "cause"), as_json)
