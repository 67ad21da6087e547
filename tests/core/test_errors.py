"""Messages name the value, what was expected and a hint; several faults are told at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core import errors
from docendo.core.errors import DocendoError, SettingError, UnknownNameError, UserError
from docendo.core.losses import Optimizer
from docendo.core.protocols import Chunk, Request, Sampling
from docendo.runs.settings import RunSettings


def test_a_hint_stands_on_a_line_of_its_own() -> None:
    assert str(UserError("no such thing", hint="look there")) == "no such thing\nhint: look there"
    assert str(UserError("no such thing")) == "no such thing"


def test_an_unknown_name_gets_the_nearest_one_or_the_list() -> None:
    error = UnknownNameError.of("task", "gsm8", ["gsm8k", "math"])
    assert str(error) == "unknown task 'gsm8'\nhint: did you mean 'gsm8k'?"
    far = UnknownNameError.of("task", "zzz", ["math", "gsm8k"])
    assert str(far) == "unknown task 'zzz'\nhint: known: gsm8k, math"
    assert str(UnknownNameError.of("task", "x", [])) == "unknown task 'x'\nhint: known: none"


def test_the_tree_in_the_module_names_every_error() -> None:
    kinds = [
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, DocendoError)
    ]
    assert errors.__doc__ is not None
    assert [name for name in kinds if name not in errors.__doc__] == []


@pytest.mark.parametrize(
    ("make", "faults"),
    [
        (
            lambda: Sampling(temperature=-1, top_k=-1, top_p=0, max_new_tokens=0),
            ["temperature is -1", "top_k is -1", "top_p is 0", "max_new_tokens is 0"],
        ),
        (
            lambda: Optimizer(
                learning_rate=float("nan"),
                batch_rows=0,
                micro_batch_rows=3,
                warmup_share=2,
                clip_norm=-1,
                weight_decay=-1,
                beta_1=1,
                beta_2=-0.1,
                lora_alpha=0,
                max_length=1,
                lora_rank=-1,
            ),
            [
                "learning_rate is nan",
                "batch_rows is 0",
                "micro_batch_rows is 3",
                "warmup_share is 2",
                "clip_norm is -1",
                "weight_decay is -1",
                "beta_1 is 1",
                "beta_2 is -0.1",
                "lora_alpha is 0",
                "max_length is 1",
                "lora_rank is -1",
            ],
        ),
        (
            lambda: RunSettings(
                train_problems=0,
                validation_problems=-2,
                test_problems=0,
                evaluation_samples=-1,
                evaluation_temperature=-1,
                max_new_tokens=0,
                failure_budget=1.5,
            ),
            [
                "train_problems is 0",
                "validation_problems is -2",
                "test_problems is 0",
                "evaluation_samples is -1",
                "evaluation_temperature is -1",
                "max_new_tokens is 0",
                "failure_budget is 1.5",
            ],
        ),
    ],
    ids=["Sampling", "Optimizer", "RunSettings"],
)
def test_all_faults_of_settings_are_told_at_once(make: Any, faults: list[str]) -> None:
    with pytest.raises(SettingError) as caught:
        make()
    assert [line.split(";")[0] for line in caught.value.message.splitlines()] == faults


@given(st.lists(st.integers(1, 4), min_size=1, max_size=9))
def test_halves_of_a_chunk_are_the_chunk(samples: list[int]) -> None:
    starts = [sum(samples[:index]) for index in range(len(samples))]
    requests = tuple(
        Request(start, (), tuple(range(count))) for start, count in zip(starts, samples, strict=True)
    )
    chunk = Chunk("7", requests)
    assert chunk.rows == sum(samples)
    if len(samples) == 1:
        with pytest.raises(ValueError, match="one request"):
            chunk.halves()
    else:
        left, right = chunk.halves()
        assert (left.id, right.id) == ("7.0", "7.1")
        assert left.requests + right.requests == requests
        assert left.requests
        assert right.requests
