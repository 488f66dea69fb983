"""`ssl-platform doctor`."""

from __future__ import annotations

import click

from ssl_platform.cli.command import Command
from ssl_platform.cli.options import json_option
from ssl_platform.cli.table import show_json


@click.command(cls=Command, name="doctor", announce=False, short_help="Do each thing a run needs once; say what fails.")
@json_option
def command(as_json: bool) -> None:
    """Do each thing a run needs once, and say what fails.

    Exits with 1 when something failed; what is absent is optional.
    """
    from ssl_platform.doctor import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.status:<7} {finding.name:<24} {finding.detail}  ({finding.seconds:.1f} s)")
    failed = [finding for finding in findings if finding.status == "failed"]
    if as_json:
        show_json({"ok": not failed, "findings": [finding.as_dict() for finding in findings]})
    else:
        click.echo(
            f"{len(failed)} of {len(findings)} checks failed" if failed else f"all {len(findings)} checks passed"
        )
    if failed:
        raise click.exceptions.Exit(1)
