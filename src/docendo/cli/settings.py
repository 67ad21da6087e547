"""From dataclasses of settings to flags and back: every field a flag, its docstring the help.

A field that is a dataclass itself gives its own fields as flags (``optimizer.learning_rate`` is
``--learning-rate``); a field with several values takes them with commas between (``--degrees 1,2,4``). Names
must differ over all groups.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import pairwise
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter, Token


def field_docs(cls: type) -> dict[str, str]:
    """Return the docstring that stands under each field of a dataclass, as one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    body: list[ast.stmt] = getattr(tree.body[0], "body", [])
    docs: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            said = text.value if isinstance(text, ast.Expr) else None
            docs[field.target.id] = (
                " ".join(str(said.value).split()) if isinstance(said, ast.Constant) else ""
            )
    return docs


@dataclass(frozen=True, slots=True)
class Settings:
    """A group of flags made of a dataclass."""

    cls: type
    title: str
    defaults: Any = None
    """An instance whose values are the defaults; None: the class's own."""

    def flags(self) -> list[inspect.Parameter]:
        """Return one keyword-only parameter a field, nested dataclasses flattened."""
        group = Group(self.title, sort_key=self.title)
        return _flags(self.cls, self.defaults, group)

    def build(self, given: Mapping[str, Any]) -> Any:
        """Make the dataclass from the values of its flags."""
        return _build(self.cls, self.defaults, given)


def _default_of(cls: type, defaults: Any, name: str) -> Any:
    if defaults is not None:
        return getattr(defaults, name)
    field = next(field for field in fields(cls) if field.name == name)
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else inspect.Parameter.empty


def _flags(cls: type, defaults: Any, group: Group) -> list[inspect.Parameter]:
    hints = get_type_hints(cls)
    docs = field_docs(cls)
    out: list[inspect.Parameter] = []
    for field in fields(cls):
        default = _default_of(cls, defaults, field.name)
        if is_dataclass(hints[field.name]):
            out += _flags(hints[field.name], default, group)
            continue
        is_list = get_origin(hints[field.name]) is tuple
        shown = Parameter(help=docs.get(field.name, ""), group=group, **(_LIST if is_list else {}))
        out.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=default,
                annotation=Annotated[hints[field.name], shown],
            )
        )
    return out


def _listed(kind: type, tokens: Sequence[Token]) -> tuple[Any, ...]:
    """Convert values with commas between, of a flag that may be given more than once."""
    of: Callable[[str], Any] = get_args(kind)[0]
    values = [value.strip() for token in tokens for value in token.value.split(",")]
    try:
        return tuple(of(value) for value in values if value)
    except ValueError:
        told = ", ".join(repr(token.value) for token in tokens)
        expected = "numbers" if of in (int, float) else "values"
        raise ValueError(f"{told} is no list of {expected}; expected them with commas between") from None


def _with_commas(values: Sequence[Any]) -> str:
    return ",".join(str(value) for value in values) or "none"


_LIST: dict[str, Any] = {
    "converter": _listed,
    "n_tokens": 1,
    "negative": "",
    "metavar": "A,B,...",
    "show_default": _with_commas,
}


def _build(cls: type, defaults: Any, given: Mapping[str, Any]) -> Any:
    hints = get_type_hints(cls)
    values = {
        field.name: _build(hints[field.name], _default_of(cls, defaults, field.name), given)
        if is_dataclass(hints[field.name])
        else given.get(field.name, _default_of(cls, defaults, field.name))
        for field in fields(cls)
    }
    return cls(**values)


def command_of(groups: Sequence[Settings], call: Callable[[list[Any]], Any], *, name: str, doc: str) -> Any:
    """Return a function whose flags are all groups' fields, and that calls with the built dataclasses."""
    parameters = [flag for group in groups for flag in group.flags()]
    names = [parameter.name for parameter in parameters]
    twice = sorted({one for one in names if names.count(one) > 1})
    if twice:
        raise ValueError(f"settings of {name} have names twice: {', '.join(twice)}")

    def command(**given: Any) -> Any:
        return call([group.build(given) for group in groups])

    command.__name__ = name.replace("-", "_")
    command.__doc__ = doc
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
