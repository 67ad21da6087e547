"""``docendo``: finds the command, and turns errors into one clear line, a hint and an exit code.

0 done · 1 a stage could not be finished, or a check failed · 2 the user can mend it · 130 stopped by Ctrl-C
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

from cyclopts import App
from cyclopts.exceptions import CycloptsError

from docendo import __version__
from docendo.core.errors import DocendoError, UserError

# Two training threads that spin while they wait collapse to a tenth of one thread's speed when anything else
# runs on the machine (measured); with a short spin they keep most of their gain and lose little.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

app = App(
    name="docendo",
    help="Make a language model better with what language models produce, and say whether it became better.",
    version=__version__,
    help_format="plaintext",
    default_parameter=None,
    suppress_keyboard_interrupt=False,  # Ctrl-C is answered below, with the command that goes on
)
app.command("docendo.cli.run:app", name="run", help="Run a recipe, or go on with a run.")
app.command("docendo.cli.report:main", name="report", help="Show a run: as text, HTML or JSON.")
app.command("docendo.cli.list:main", name="list", help="List runs, stages, recipes, tasks or models.")
app.command("docendo.cli.show:main", name="show", help="Show a stage, a sample, a checkpoint or a model.")
app.command(
    "docendo.cli.lineage:main", name="lineage", help="Walk from a checkpoint or sample to where it came from."
)
app.command("docendo.cli.grade:main", name="grade", help="Grade existing completions with a task's verifier.")
app.command("docendo.cli.vote:main", name="vote", help="Choose one answer of many completions, by each rule.")
app.command("docendo.cli.check:app", name="check", help="Run the conformance checks on a task.")
app.command("docendo.cli.gc:main", name="gc", help="Delete stages and checkpoints that no run uses.")


def main(tokens: Sequence[str] | None = None) -> None:
    """Run a command line and exit with its code."""
    given = list(sys.argv[1:] if tokens is None else tokens)
    try:
        code = app(_with_config(given), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        told = str(error).strip()
        _fail(told, "" if "Did you mean" in told else _help_hint(given), 2)
    except UserError as error:
        _fail(error.message, error.hint, 2)
    except DocendoError as error:
        _fail(error.message, error.hint, 1)
    except KeyboardInterrupt:
        again = shlex.join(["docendo", *given])
        sys.stderr.write(f"\nstopped; what is done is kept. To go on: {again}\n")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left: say no more
        sys.exit(141)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _with_config(given: list[str]) -> list[str]:
    if given[:1] == ["run"] and any(token.startswith("--config") for token in given):
        from docendo.cli.run import with_config

        return with_config(given)
    return given


def _help_hint(given: Sequence[str]) -> str:
    command = [token for token in given[:2] if not token.startswith("-")]
    return f"see `{shlex.join(['docendo', *command, '--help'])}`"


def _fail(message: str, hint: str, code: int) -> None:
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
    sys.exit(code)
