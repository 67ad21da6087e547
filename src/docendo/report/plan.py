"""A plan as text."""

from __future__ import annotations

from docendo.runs.plan import Plan

SAMPLED_TOKENS_PER_SECOND = 40_000
TRAINED_ROWS_PER_SECOND = 250
"""What the built-in models do on two cores; other models and machines differ, and the text says so."""


def render_plan(plan: Plan) -> str:
    """Return the stages of a plan, what is there already, and how much is left at most."""
    wide = max((len(stage.label) for stage in plan.stages), default=5)
    lines = [f"{'stage'.ljust(wide)}  {'rows':>10}  {'tokens':>12}  state"]
    samples = tokens = trained = 0
    for stage in plan.stages:
        bound = "?" if stage.rows is None else f"{stage.rows:,}"
        rows = bound if stage.is_exact or stage.rows is None else f"<= {bound}"
        told = f"<= {stage.tokens:,}" if stage.tokens else ""
        lines.append(
            f"{stage.label.ljust(wide)}  {rows:>10}  {told:>12}  {'there' if stage.is_there else 'to do'}"
        )
        if not stage.is_there:
            if stage.kind == "sample":
                samples += stage.rows or 0
                tokens += stage.tokens
            elif stage.kind == "train":
                trained += stage.rows or 0
    there = sum(stage.is_there for stage in plan.stages)
    lines.append("")
    lines.append(f"{there} of {len(plan.stages)} stages are there.")
    if there < len(plan.stages):
        seconds = tokens / SAMPLED_TOKENS_PER_SECOND + trained / TRAINED_ROWS_PER_SECOND
        lines.append(
            f"To do, at most: {samples:,} samples, {tokens:,} generated tokens, {trained:,} training rows an "
            f"epoch; about {max(1, round(seconds / 60))} minutes at most at the speed of the built-in models "
            "on two cores."
        )
        lines.append("Exact up to the first stage that must run; behind it, upper bounds.")
    if not plan.is_complete:
        lines.append("The recipe looks at rows to decide how it goes on, so the list ends there.")
        if plan.bound:
            lines.append(f"By its own settings what follows is at most: {plan.bound}.")
    return "\n".join(lines)
