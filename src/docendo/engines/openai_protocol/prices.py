"""What tokens cost: a small table, a user's own before it, and "not known" otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from docendo.core.errors import DataError

AS_OF = "June 2026"
"""When `PRICES` was looked up."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float

    def of(self, prompt_tokens: int, generated_tokens: int) -> float:
        """Return USD. Discounts for cached prompts are not counted: it is at most this."""
        return (self.input * prompt_tokens + self.output * generated_tokens) / 1e6


PRICES: Mapping[str, Price] = {
    "gpt-3.5-turbo": Price(0.5, 1.5),
    "gpt-4o": Price(2.5, 10),
    "gpt-4o-mini": Price(0.15, 0.6),
    "gpt-4.1": Price(2, 8),
    "gpt-4.1-mini": Price(0.4, 1.6),
    "gpt-4.1-nano": Price(0.1, 0.4),
    "gpt-5": Price(1.25, 10),
    "gpt-5-mini": Price(0.25, 2),
    "gpt-5-nano": Price(0.05, 0.4),
    "gpt-5.4": Price(2.5, 15),
    "gpt-5.4-mini": Price(0.75, 4.5),
    "gpt-5.4-nano": Price(0.2, 1.25),
}
"""List prices at api.openai.com (its pricing page); of the same name elsewhere nothing is known."""


def price_of(name: str, base_url: str, own: Mapping[str, Price]) -> Price | None:
    """Return the price of a model: the user's own, else the table's if OpenAI serves it, else None.

    A name with a date behind it, as ``gpt-4.1-mini-2025-04-14``, costs what the name without it costs.
    """
    undated = re.sub(r"-\d{4}-\d{2}-\d{2}$", "", name)
    found = own.get(name) or own.get(undated)
    if found is None and urlsplit(base_url).hostname == "api.openai.com":
        found = PRICES.get(name) or PRICES.get(undated)
    return found


def read_prices(path: Path | None) -> dict[str, Price]:
    """Read a user's own prices.

    Raises:
        DataError: The file is missing or not as expected; the message names the entry.
    """
    if path is None:
        return {}
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise DataError(f"price file {str(path)!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"price file {str(path)!r} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(
            f"price file {str(path)!r} holds no prices; expected NAME: {{input: 0.4, output: 1.6}}"
        )
    return {
        str(name): _price(value, f"price file {str(path)!r}, {name}")
        for name, value in cast("dict[Any, Any]", content).items()
    }


def _price(value: Any, where: str) -> Price:
    entry: dict[Any, Any] = value if isinstance(value, dict) else {}
    numbers = [entry.get("input"), entry.get("output")]
    if set(entry) != {"input", "output"} or not all(
        isinstance(number, (int, float)) and not isinstance(number, bool) and 0 <= number < 1e6
        for number in numbers
    ):
        raise DataError(
            f"{where}: found {value!r}; expected {{input: 0.4, output: 1.6}}, USD per million tokens"
        )
    return Price(float(entry["input"]), float(entry["output"]))
