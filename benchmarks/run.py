"""Measure what the documents promise, side by side on this machine, and write ``benchmarks/results.json``.

Every figure is a ratio to something run beside it, or a rate with its spread over repeats; nothing here is
compared with another machine's numbers. Single benchmarks: ``python benchmarks/run.py engine trainer``.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("engine", "trainer", "verifiers", "scale")


def main(names: list[str]) -> int:
    """Run the named benchmarks, all where none is named, and write what they give."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        sys.stderr.write(f"error: unknown benchmark {', '.join(unknown)}; expected {', '.join(NAMES)}\n")
        return 2
    sys.path.insert(0, str(ROOT))  # so that they find `tests.verifiers.golden` and each other
    path = ROOT / "benchmarks" / "results.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name in names or NAMES:
        print(f"{name} ...", flush=True)
        load = os.getloadavg()[0]
        started = time.monotonic()
        found = importlib.import_module(f"benchmarks.{name}").run()
        results[name] = {
            "machine": {
                "cores": os.cpu_count(),
                "processor": platform.machine(),
                "python": platform.python_version(),
                "load_before": round(load, 2),
            },
            "seconds": round(time.monotonic() - started, 1),
            "found": found,
        }
        path.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        print(json.dumps(found, indent=2), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
