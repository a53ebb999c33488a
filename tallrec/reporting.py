"""Trackers of experiments that Trainer can report to, by the names that it has for them."""

from transformers import TrainerCallback
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from benchmark.errors import ConfigError, reason_of

NOBODY = "none"


def reporting(report_to: str) -> list[TrainerCallback]:
    """What Trainer calls so that the tracker of this name is told; empty for `none`.

    Raises:
        ConfigError: Trainer has no such name, or the tracker is not installed.
    """
    if report_to == NOBODY:
        return []
    if report_to not in INTEGRATION_TO_CALLBACK:
        known = ", ".join((NOBODY, *INTEGRATION_TO_CALLBACK))
        raise ConfigError(f"tune.report_to: {report_to!r} is not one of {known}")
    try:
        return [INTEGRATION_TO_CALLBACK[report_to]()]
    except (RuntimeError, ImportError) as error:  # how the integrations say that a package is missing
        raise ConfigError(f"tune.report_to: {report_to} cannot be told: {reason_of(error)}") from None
