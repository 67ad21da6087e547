from __future__ import annotations

import tomllib
from importlib import import_module
from importlib.metadata import distribution, entry_points, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS: dict[str, dict[str, str]] = PROJECT["project"]["entry-points"]
POINTS = [(group, name, target) for group, names in GROUPS.items() for name, target in names.items()]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): pinned for name, pinned in pairs}


def needed_by_the_targets() -> set[str]:
    """Names of all that `.[local,dev]` brings in here, followed from requirement to requirement."""
    found: set[str] = set()
    ahead = [("docendo", extra) for extra in ("", "local", "dev")]
    seen: set[tuple[str, str]] = set()
    while ahead:
        name, extra = ahead.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for line in distribution(name).requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                child = canonicalize_name(needed.name)
                ahead += [(child, ""), *((child, e) for e in needed.extras)]
    return found - {"docendo"}


def test_constraints_pin_everything_the_targets_install() -> None:
    missing = needed_by_the_targets() - set(pins())
    assert not missing, f"not in constraints.txt: {sorted(missing)}"


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned = pins()
    other = {
        name: version(name)
        for name in needed_by_the_targets()
        if Version(version(name)).public != pinned.get(name)
    }
    assert not other, f"installed in other versions than pinned: {other}; hint: make install"


def test_constraints_are_exact_versions_in_order_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        name, _, pinned = line.partition("==")
        assert name
        assert str(Version(pinned)) == pinned, line
        assert Version(pinned).local is None, line
    assert lines == sorted(lines, key=str.lower)
    assert len({canonicalize_name(line.partition("==")[0]) for line in lines}) == len(lines)


def test_every_pin_meets_what_the_project_asks_for() -> None:
    optional: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    pinned = pins()
    for line in [*PROJECT["project"]["dependencies"], *(r for extra in optional.values() for r in extra)]:
        needed = Requirement(line)
        assert needed.specifier.contains(pinned[canonicalize_name(needed.name)]), line


def test_the_core_does_not_ask_for_torch() -> None:
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert not names & {"torch", "transformers", "datasets"}


@pytest.mark.parametrize(("group", "name", "target"), POINTS, ids=[f"{g}:{n}" for g, n, _ in POINTS])
def test_every_entry_point_resolves(group: str, name: str, target: str) -> None:
    installed = {point.name: point.value for point in entry_points(group=group)}
    assert installed.get(name) == target, f"{group} {name} is not installed; hint: make install"
    module, _, attribute = target.partition(":")
    assert getattr(import_module(module), attribute)


def test_the_command_resolves() -> None:
    module, _, attribute = PROJECT["project"]["scripts"]["docendo"].partition(":")
    assert callable(getattr(import_module(module), attribute))


def test_the_version_is_one() -> None:
    docendo = import_module("docendo")
    assert docendo.__version__ == PROJECT["project"]["version"] == version("docendo")


def test_pyright_is_strict_on_every_package_but_the_named_ones() -> None:
    packages = {path.parent.name for path in (ROOT / "src/docendo").glob("*/__init__.py")}
    strict = {Path(entry).parts[2] for entry in PROJECT["tool"]["pyright"]["strict"]}
    assert packages - strict <= {"engines", "trainers"}


def test_every_ruff_ignore_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("ignore = [")
    ignored = lines[start + 1 : lines.index("]", start)]
    assert ignored
    assert all(" # " in line for line in ignored)
