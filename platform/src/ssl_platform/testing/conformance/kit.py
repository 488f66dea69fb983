"""The one generator of checks: what `ssl-platform plugins check` and pytest run."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ssl_platform.errors import PluginError, did_you_mean
from ssl_platform.plugins import DomainDeclaration, ObjectiveDeclaration, PluginRecord, registry
from ssl_platform.testing.conformance import plugin
from ssl_platform.testing.conformance.check import Check, Outcome, Violation, perform

DECLARED = "SSL_PLATFORM_EXPECTED_FAILURES"
"""What a plugin module may declare: `{"windows.origin": "windows are resampled, edges differ"}`."""
FLOOR = 0.75
"""Part of the checks offered that must really run."""
Expected = Mapping[str, str]


@dataclass
class Report:
    """What a kit found.

    Attributes:
        outcomes: one a check.
    """

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether some promise is broken."""
        return any(outcome.bad for outcome in self.outcomes)

    @property
    def counts(self) -> dict[str, int]:
        """Outcomes by status."""
        found: dict[str, int] = {}
        for outcome in self.outcomes:
            found[outcome.status] = found.get(outcome.status, 0) + 1
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "passed": not self.failed,
            "counts": self.counts,
            "seconds": round(sum(o.seconds for o in self.outcomes), 2),
            "checks": [outcome.as_dict() for outcome in self.outcomes],
        }


class Kit:
    """The checks of one installed plugin, of all plugins of a distribution, or of one domain.

    Use as a context manager: what the checks wrote is removed at the end.

    Args:
        name: of the plugin (entry point), the distribution or a domain.
        everything: every objective that fits instead of one a family.
        expected: reasons of known failures by check name or pattern, besides those the plugins declare.

    Raises:
        PluginError: nothing of that name is installed.
    """

    def __init__(self, name: str, *, everything: bool = False, expected: Expected | None = None) -> None:
        self.name, self.everything = name, everything
        self.records, self.domains = find(name)
        self._one_domain = not any(name in (record.name, record.distribution) for record in self.records)
        self.expected: dict[str, str] = {}
        for record in self.records:
            self.expected |= getattr(sys.modules.get(record.module), DECLARED, {})
        self.expected |= expected or {}
        self._closing: list[Callable[[], None]] = []
        self._outcomes: dict[str, list[Outcome]] = {}

    def __enter__(self) -> Kit:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was written."""
        while self._closing:
            self._closing.pop()()

    def checks(self) -> Iterator[Check]:
        """All checks, in an order in which each comes after what it builds on; a floor ends every subject."""
        for record in self.records:
            yield from plugin.checks(record)
        for declaration in self.domains:
            yield from self._domain(declaration)
        yield from self._objectives()

    def _domain(self, declared: DomainDeclaration) -> Iterator[Check]:
        from ssl_platform.testing.conformance import (
            batches,
            declaration,
            files,
            matrix,
            recorded,
            runs,
            tokens,
            views,
            windows,
        )
        from ssl_platform.testing.conformance.subject import DomainUnderTest

        domain = DomainUnderTest(declared.name)
        self._closing.append(domain.close)
        groups = (declaration, files, windows, recorded, batches, views, tokens)
        checks = itertools.chain(
            *(group.checks(domain) for group in groups), matrix.checks(domain, self.everything), runs.checks(domain)
        )
        yield from self._floored(domain.subject, checks)

    def _objectives(self) -> Iterator[Check]:
        """Those of the plugins: all, or one of each family."""
        found = [cast(ObjectiveDeclaration, o) for r in self.records for o in r.declared.get("objective", ())]
        if not found or self._one_domain:
            return
        from ssl_platform.testing.conformance import objectives

        families: dict[str, ObjectiveDeclaration] = {}
        for one in found:
            families.setdefault(one.name if self.everything else one.family, one)
        for one in families.values():
            yield from self._floored(f"objective {one.name}", objectives.checks(one))

    def _floored(self, subject: str, checks: Iterable[Check]) -> Iterator[Check]:
        """The checks, and one that enough of them really ran."""
        counted: set[str] = set()
        for check in checks:
            if check.counts:
                counted.add(check.name)
            yield check
        total = len(counted)

        def floor() -> str:
            ran = sum(outcome.ran for outcome in self._outcomes.get(subject, ()) if outcome.name in counted)
            if ran < FLOOR * total:
                raise Violation(
                    f"only {ran} of {total} checks really ran; at least {FLOOR:.0%} must",
                    "write a complete sample set and declare what the domain supports; see the skipped rows",
                )
            return f"{ran} of {total} checks ran"

        yield Check("kit.floor", subject, "enough checks really ran", floor, counts=False)

    def perform(self, check: Check) -> Outcome:
        """Run one check."""
        outcome = perform(check, self.expected)
        self._outcomes.setdefault(check.subject, []).append(outcome)
        return outcome

    def run(self, told: Callable[[Outcome], None] = lambda outcome: None) -> Report:
        """Run all checks.

        Args:
            told: called with each outcome as it comes.
        """
        report = Report()
        for check in self.checks():
            outcome = self.perform(check)
            report.outcomes.append(outcome)
            told(outcome)
        return report


def find(name: str) -> tuple[list[PluginRecord], list[DomainDeclaration]]:
    """Plugins and domains of a name: of an entry point, a distribution or a domain.

    Raises:
        PluginError: nothing of that name is installed.
    """
    records = [r for r in registry().records if name in (r.name, r.distribution)]
    if not records:
        records = [r for r in registry().records if name in r.names("domain")]
        if records:
            return records, [registry().domain(name)]
    if not records:
        known = sorted({n for r in registry().records for n in (r.name, r.distribution, *r.names("domain"))})
        raise PluginError(
            f"no plugin, distribution or domain {name!r}{did_you_mean(name, known)}; installed: {', '.join(known)}"
        )
    domains = [d for record in records if record.status == "ok" for d in record.declared.get("domain", ())]
    return records, cast(list[DomainDeclaration], domains)
