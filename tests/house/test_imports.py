from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "accelerate",
    "datasets",
    "math_verify",
    "numpy",
    "openai",
    "pandas",
    "peft",
    "pyarrow",
    "ray",
    "safetensors",
    "scipy",
    "sympy",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
}


def loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh Python has loaded after `code`."""
    report = "import sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import docendo",
        "import docendo.cli.main",
        # --help ends with SystemExit; its text goes to standard output, before the report
        "import sys, docendo.cli.main\nsys.argv = ['docendo', '--help']\n"
        "try: docendo.cli.main.main()\nexcept SystemExit: pass",
    ],
    ids=["docendo", "cli", "help"],
)
def test_nothing_heavy_is_loaded_to_show_help(code: str) -> None:
    assert not loaded_by(code) & HEAVY


def test_metrics_need_the_standard_library_and_numpy_alone() -> None:
    modules = [
        "accuracy",
        "coverage",
        "drift",
        "intervals",
        "majority",
        "paired",
        "pass_at_k",
        "pgr",
        "transitions",
    ]
    code = "\n".join(f"import docendo.metrics.{module}" for module in modules)
    code += "\ndocendo.metrics.paired.compare([[1, 0], [1, 1]], [[0, 0], [1, 0]], n_resamples=10)"
    known = loaded_by("import numpy.random") | {"docendo"}
    assert loaded_by(code) - sys.stdlib_module_names <= known
