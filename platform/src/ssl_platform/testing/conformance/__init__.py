"""The conformance kit: one generator of named checks that holds any plugin to what it promises.

    ssl-platform plugins check NAME [--all] [--json]
    pytest --ssl-platform-conformance=NAME

    with Kit("acme-eeg") as kit:
        report = kit.run()

Importing this package imports no torch.
"""

from ssl_platform.testing.conformance.check import Check, NotApplicable, Outcome, Violation
from ssl_platform.testing.conformance.kit import Kit, Report, find

__all__ = ["Check", "Kit", "NotApplicable", "Outcome", "Report", "Violation", "find"]
