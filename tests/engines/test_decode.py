from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from docendo.engines.batches import read_once
from docendo.engines.decode import Decoder
from docendo.engines.generic import GenericDecoder
from docendo.engines.grid import placed
from docendo.engines.jobs import Draw
from docendo.engines.rows import CancelledError
from docendo.engines.shapes import Shape, UnsupportedError
from docendo.engines.trunks import trunks_of
from tests.engines.tiny import END, PAD, START, write_model

LLAMA_3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_theta": 10000.0,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama untied with biases": (
        "llama",
        {"tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True},
    ),
    "llama, one key head": ("llama", {"num_key_value_heads": 1}),
    "llama, a key head for each head": ("llama", {"num_key_value_heads": 4}),
    "llama 3 rotation": ("llama", {"rope_parameters": LLAMA_3}),
    "linear rotation": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
    ),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 16}),
    "mistral": ("mistral", {"sliding_window": None}),
}
GREEDY = Draw(0.0, 0, 1.0, True, (END,))
DRAWN = Draw(1.0, 0, 1.0, False, (END,))


def prompts_of(count: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[START, *(rng.randrange(5, 320) for _ in range(rng.randrange(2, 40)))] for _ in range(count)]


def seeds_of(count: int, samples: int) -> list[list[int]]:
    rng = random.Random(1)
    return [[rng.randrange(2**63) for _ in range(samples)] for _ in range(count)]


def generated(model: Any, prompts: list[list[int]], limit: int) -> list[list[int]]:
    longest = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (longest - len(row)) + row for row in prompts])
    seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
    out = model.generate(
        input_ids=ids,
        attention_mask=seen,
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=END,
        pad_token_id=PAD,
    )[:, longest:].tolist()
    return [row[: row.index(END) + 1] if END in row else row for row in out]


def reference_logprobs(model: Any, text: list[int], start: int) -> list[float]:
    with torch.inference_mode():
        logprobs = model(torch.tensor([text])).logits[0].log_softmax(-1)
    return [logprobs[place - 1, text[place]].item() for place in range(start, len(text))]


@pytest.fixture(scope="module", params=list(KINDS))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind, settings = KINDS[request.param]
    return write_model(tmp_path_factory.mktemp("model"), kind, **settings)


def test_greedy_output_and_logprobs_are_those_of_transformers(folder: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    prompts = prompts_of(64)
    decoder = Decoder(folder, "fp32")
    greedy = decoder.sample(prompts, [[0]] * 64, [60] * 64, GREEDY)
    assert greedy.token_ids == generated(model, prompts, 60)
    assert greedy.is_stopped == [ids[-1] == END for ids in greedy.token_ids]
    texts = [[*prompt, *ids] for prompt, ids in zip(prompts, greedy.token_ids, strict=True)]
    starts = [len(prompt) for prompt in prompts]
    scored = decoder.logprobs(texts, starts, most_logits=320 * 50)
    assert greedy.token_logprobs is not None
    for text, start, own, while_drawn in zip(texts, starts, scored, greedy.token_logprobs, strict=True):
        reference = reference_logprobs(model, text, start)
        assert own == pytest.approx(reference, abs=1e-4)
        assert while_drawn == pytest.approx(reference, abs=1e-4)


def test_what_prompts_begin_with_is_read_once_and_changes_no_token(folder: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    lessons, exams = prompts_of(6, seed=2), prompts_of(24, seed=3)
    prompts = [[*lessons[place % 6], *exam] for place, exam in enumerate(exams)] + prompts_of(3)
    prompts.append(prompts[0])
    trunks = trunks_of(prompts)
    assert sum(trunk.length * (len(trunk.members) - 1) for trunk in trunks) > 200
    found = Decoder(folder, "fp32").sample(prompts, [[0]] * 28, [30] * 28, GREEDY)
    assert found.token_ids == generated(model, prompts, 30)
    assert found.token_logprobs is not None
    for prompt, ids, own in zip(prompts, found.token_ids, found.token_logprobs, strict=True):
        assert own == pytest.approx(reference_logprobs(model, [*prompt, *ids], len(prompt)), abs=1e-4)


def test_trunks_in_half_precision_stay_close(llama: Path) -> None:
    lesson = prompts_of(1, seed=2)[0] * 3
    prompts = [[*lesson, *exam] for exam in prompts_of(8, seed=3)]
    assert trunks_of(prompts)
    decoder = Decoder(llama, "bf16")
    _, together = decoder._prefilled(prompts)  # pyright: ignore[reportPrivateUsage]
    for prompt, own in zip(prompts, together, strict=True):
        _, (alone,) = decoder._prefilled([prompt])  # pyright: ignore[reportPrivateUsage]
        assert torch.nn.functional.cosine_similarity(own.float(), alone.float(), dim=0) > 0.99


def test_draws_do_not_depend_on_their_neighbours(llama: Path) -> None:
    decoder = Decoder(llama, "fp32")
    prompts, seeds = prompts_of(25), seeds_of(25, 4)
    together = decoder.sample(prompts, seeds, [50] * 25, DRAWN).token_ids
    alone = [
        ids
        for prompt, own in zip(prompts, seeds, strict=True)
        for seed in own
        for ids in decoder.sample([prompt], [[seed]], [50], DRAWN).token_ids
    ]
    same = sum(first == second for first, second in zip(together, alone, strict=True))
    # The logits of this random model spread so far that their last bits change a token in ten thousand.
    assert same >= len(alone) - 1


def test_the_same_chunk_gives_the_same_bytes(llama: Path) -> None:
    prompts, seeds = prompts_of(20), seeds_of(20, 5)
    draw = Draw(0.9, 20, 0.95, True, (END,))
    first = Decoder(llama, "fp32").sample(prompts, seeds, [50] * 20, draw)
    second = Decoder(llama, "fp32").sample(prompts, seeds, [50] * 20, draw)
    assert first == second


@pytest.mark.parametrize("samples", [[1, 1, 1], [3, 1, 2], [40, 1, 7]])
def test_prompts_may_have_different_numbers_of_samples_and_limits(llama: Path, samples: list[int]) -> None:
    decoder = Decoder(llama, "fp32")
    prompts, limits = prompts_of(3), [1, 30, 5]
    seeds = [own[:count] for own, count in zip(seeds_of(3, 40), samples, strict=True)]
    found = decoder.sample(prompts, seeds, limits, DRAWN)
    lengths = iter(found.token_ids)
    for own, limit in zip(seeds, limits, strict=True):
        for _ in own:
            ids = next(lengths)
            assert len(ids) == limit or ids[-1] == END
            assert END not in ids[:-1]
    assert next(lengths, None) is None


def test_greedy_samples_of_one_prompt_are_all_the_same(llama: Path) -> None:
    found = Decoder(llama, "fp32").sample(prompts_of(2), [[0] * 5] * 2, [40] * 2, GREEDY).token_ids
    assert found[:5] == [found[0]] * 5
    assert found[5:] == [found[5]] * 5


def test_logits_of_logprobs_are_held_in_pieces(llama: Path) -> None:
    decoder = Decoder(llama, "fp32")
    texts = prompts_of(7)
    whole = decoder.logprobs(texts, [1] * 7, most_logits=10**9)
    pieces = decoder.logprobs(texts, [1] * 7, most_logits=1)
    assert [len(row) for row in whole] == [len(text) - 1 for text in texts]
    for first, second in zip(whole, pieces, strict=True):
        assert first == pytest.approx(second, abs=1e-5)


@pytest.mark.parametrize(
    "made", [Decoder, lambda folder, precision: GenericDecoder(folder, precision, "cpu")]
)
def test_words_of_one_token_behind_one_prompt_cost_one_reading(llama: Path, made: Any) -> None:
    """Of three words behind seven prompts two have one token; one prompt is there by itself, too."""
    model: Any = AutoModelForCausalLM.from_pretrained(llama).eval()
    prompts = prompts_of(7)
    words = [[70], [80], [70, 90]]
    texts = [[*prompt, *word] for prompt in prompts for word in words] + [prompts[0], [*prompts[0], 95]]
    starts = [len(prompt) for prompt in prompts for _ in words] + [1, len(prompts[0])]
    readings = read_once(texts)
    assert sorted(place for served in readings for place in served) == list(range(len(texts)))
    assert len(readings) == 7 * 2 + 1  # the last word, and the bare prompt, are read by themselves
    decoder = made(llama, "fp32")
    for most_logits in (10**7, 1):
        found = decoder.logprobs(texts, starts, most_logits=most_logits)
        for text, start, own in zip(texts, starts, found, strict=True):
            assert own == pytest.approx(reference_logprobs(model, text, start), abs=1e-4)


def test_half_precision_stays_close(llama: Path) -> None:
    texts = prompts_of(8)
    exact = Decoder(llama, "fp32").logprobs(texts, [1] * 8, most_logits=10**7)
    rough = Decoder(llama, "bf16").logprobs(texts, [1] * 8, most_logits=10**7)
    errors = np.abs(np.concatenate(exact) - np.concatenate(rough))
    assert np.median(errors) < 0.3  # logits of this random model spread over tens
    assert Decoder(llama, "bf16").sample(texts, [[1]] * 8, [20] * 8, DRAWN).token_ids


def test_a_cancelled_chunk_is_left_at_the_next_token(llama: Path) -> None:
    calls = 0

    def is_cancelled() -> bool:
        nonlocal calls
        calls += 1
        return calls > 3

    with pytest.raises(CancelledError):
        Decoder(llama, "fp32").sample(
            prompts_of(2), [[1]] * 2, [50] * 2, Draw(1.0, 0, 1.0, False, ()), is_cancelled=is_cancelled
        )
    assert calls == 4


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_general_path_draws_what_the_own_path_draws(tmp_path: Path, kind: str) -> None:
    folder = write_model(tmp_path, kind)
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    general = GenericDecoder(folder, "fp32", "cpu")
    prompts, seeds = prompts_of(16), seeds_of(16, 4)
    greedy = general.sample(prompts, [[0]] * 16, [40] * 16, GREEDY)
    assert greedy.token_ids == generated(model, prompts, 40)
    texts = [[*prompt, *ids] for prompt, ids in zip(prompts, greedy.token_ids, strict=True)]
    scored = general.logprobs(texts, [len(prompt) for prompt in prompts], most_logits=320 * 200)
    assert greedy.token_logprobs is not None
    for own, while_drawn, text, prompt in zip(scored, greedy.token_logprobs, texts, prompts, strict=True):
        assert own == pytest.approx(reference_logprobs(model, text, len(prompt)), abs=1e-4)
        assert while_drawn == pytest.approx(own, abs=1e-4)
    together = general.sample(prompts, seeds, [40] * 16, DRAWN).token_ids
    if kind == "llama":
        own_path = Decoder(folder, "fp32").sample(prompts, seeds, [40] * 16, DRAWN).token_ids
    else:
        own_path = [
            ids
            for prompt, own in zip(prompts, seeds, strict=True)
            for ids in general.sample([prompt], [own], [40], DRAWN).token_ids
        ]
    assert sum(a == b for a, b in zip(together, own_path, strict=True)) >= len(together) - 1


@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=8), members=st.integers(1, 5))
def test_groups_hold_every_row_once_and_rows_of_one_prompt_only(counts: list[int], members: int) -> None:
    prompt = np.repeat(np.arange(len(counts)), counts)
    groups, places = placed(prompt, members)
    assert len(places) == len(groups) * members
    grid = places.reshape(-1, members)
    assert sorted(places[places >= 0].tolist()) == list(range(len(prompt)))
    assert (grid[:, 0] >= 0).all()
    for group, row in zip(groups, grid, strict=True):
        assert all(prompt[place] == group for place in row if place >= 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "gpt2"}, "model type 'gpt2'"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "architecture"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"quantization_config": {"bits": 4}}, "quantized weights"),
        ({"use_sliding_window": True, "sliding_window": 8}, "sliding window"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding window"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rotation scaling 'yarn'"),
        ({"partial_rotary_factor": 0.5}, "rotation of a part"),
    ],
)
def test_what_the_own_path_does_not_know_it_leaves(changes: dict[str, Any], reason: str) -> None:
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "num_hidden_layers": 2,
        "hidden_size": 8,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 10,
        "max_position_embeddings": 32,
    }
    assert Shape.of(config).kv_heads == 2
    with pytest.raises(UnsupportedError, match=reason):
        Shape.of({**config, **changes})
