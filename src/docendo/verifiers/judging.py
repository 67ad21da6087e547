"""What all verifiers ask before they compare anything."""

from __future__ import annotations

from docendo.core.records import Label, Outcome, Sample, Source, Verdict

MAX_CHARACTERS = 10_000
"""A longer answer is not looked into. Characters. Ours: no answer of a data set we know has 1,000."""


def unjudgeable(sample: Sample, label: Label | None, source: Source) -> Verdict | None:
    """Return the verdict on a sample that cannot be compared with a Label; None where it can.

    ``failed``: the sample failed, or no answer could be read off it. ``undecided``: there is no Label.
    """
    if sample.status == "failed":
        # Only the first line and not much of it: reasons are counted.
        why = sample.reason.partition("\n")[0][:80]
        return Verdict(Outcome.FAILED, f"sample failed: {why}" if why else "sample failed", source)
    if not sample.is_parsed or not sample.answer.strip():
        return Verdict(Outcome.FAILED, "no answer could be read", source)
    if label is None:
        return Verdict(Outcome.UNDECIDED, "no label", source)
    return None
