"""Embeddings: pooled as the checkpoint's files say, the same alone and in a batch, of encoders and others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from docendo.core.errors import DataError, ModelError
from docendo.core.protocols import Finished, Request
from docendo.core.records import Embedding, Message
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.embedder import pooled
from docendo.engines.pooling import Pooling, load_reader
from docendo.engines.transformers import TransformersEngine
from tests.engines.tiny import write_model

TEXTS = [
    "ava has twelve pens .",
    "how many pens does she have now ?",
    "she has fifteen pens and buys three more , how many pens does she have now ?",
    "pens",
    *(f"ava buys {number} pens" for number in ("three", "twelve", "fifteen")),
]
Kind = str


def write_encoder(folder: Path, kind: Kind = "bert", **more: Any) -> Path:
    """Write a random encoder of two layers, with a word tokenizer that has no end token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    # As BERT's vocabulary or as MPNet's: the padding token is 0 or 1.
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"] if kind == "bert" else ["[CLS]", "[PAD]", "[SEP]", "[UNK]"]
    words = sorted({word for text in TEXTS for word in text.split()})
    vocabulary = {word: place for place, word in enumerate([*special, *words])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()  # pyright: ignore
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    backend.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    folder.mkdir(parents=True, exist_ok=True)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", cls_token="[CLS]", unk_token="[UNK]", model_max_length=32
    ).save_pretrained(str(folder))
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "max_position_embeddings": 40, "vocab_size": len(vocabulary)}
    sizes |= {"pad_token_id": vocabulary["[PAD]"], "initializer_range": 0.5}
    model: Any = AutoModel.from_config(AutoConfig.for_model(kind, **{**sizes, **more}))
    model.save_pretrained(str(folder))
    return folder


def write_modules(folder: Path, pooling: dict[str, Any], *, kinds: Sequence[str] = ("Normalize",)) -> None:
    """Write what sentence-transformers writes beside a model."""
    every = [("Transformer", ""), ("Pooling", "1_Pooling"), *((kind, f"2_{kind}") for kind in kinds)]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (kind, path) in enumerate(every)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")


def flags(which: str) -> dict[str, Any]:
    """Return a pooling's settings as most models on the hub have them."""
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")
    return {
        "word_embedding_dimension": 32,
        **{f"pooling_mode_{name}": name == which for name in names},
        "include_prompt": True,
    }


def asked(texts: Iterable[str]) -> list[Request]:
    return [Request(place, (Message("text", text),)) for place, text in enumerate(texts)]


def embedded(engine: TransformersEngine, folder: Path, texts: Iterable[str]) -> list[Embedding]:
    checkpoint = open_checkpoint(folder, embeds=True)
    rows: dict[int, Embedding] = {}
    for event in engine.embed(checkpoint, list(engine.chunks(checkpoint, asked(texts), "embed"))):
        assert isinstance(event, Finished)
        for request, result in zip(event.chunk.requests, event.results, strict=True):
            rows[request.position] = result
    return [rows[place] for place in range(len(rows))]


def states_of(folder: Path, text: str) -> torch.Tensor:
    """Return the last hidden states of a text by itself, [time, width]."""
    model: Any = AutoModel.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", truncation=True)["input_ids"]
    with torch.inference_mode():
        return model(input_ids=ids).last_hidden_state[0]


@pytest.fixture(scope="module", params=["bert", "mpnet", "llama"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    return write_model(place) if request.param == "llama" else write_encoder(place, request.param)


def test_without_files_of_its_own_a_text_is_the_mean_of_its_tokens_at_length_1(
    engine: TransformersEngine, folder: Path
) -> None:
    found = embedded(engine, folder, TEXTS)
    for text, own in zip(TEXTS, found, strict=True):
        states = states_of(folder, text)
        mean = states.mean(0)
        assert own.vector == pytest.approx((mean / mean.norm()).tolist(), abs=1e-5)
        assert own.tokens == len(states)
        assert np.linalg.norm(own.vector) == pytest.approx(1, abs=1e-6)


def test_a_text_alone_and_among_longer_ones_has_the_same_vector(
    engine: TransformersEngine, folder: Path
) -> None:
    together = embedded(engine, folder, TEXTS)
    for text, own in zip(TEXTS, together, strict=True):
        (alone,) = embedded(engine, folder, [text])
        assert own.vector == pytest.approx(alone.vector, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "take"),
    [
        (flags("cls_token"), lambda states: states[0]),
        (flags("mean_tokens"), lambda states: states.mean(0)),
        (flags("lasttoken"), lambda states: states[-1]),
        ({"embedding_dimension": 32, "pooling_mode": "cls"}, lambda states: states[0]),
        ({"embedding_dimension": 32, "pooling_mode": "lasttoken"}, lambda states: states[-1]),
    ],
)
@pytest.mark.parametrize("kinds", [("Normalize",), ()])
def test_the_models_own_files_say_how_it_pools(
    engine: TransformersEngine, tmp_path: Path, settings: dict[str, Any], take: Any, kinds: tuple[str, ...]
) -> None:
    write_modules(write_encoder(tmp_path), settings, kinds=kinds)
    for text, own in zip(TEXTS, embedded(engine, tmp_path, TEXTS), strict=True):
        expected = take(states_of(tmp_path, text))
        length = expected.norm() if kinds else 1
        assert own.vector == pytest.approx((expected / length).tolist(), abs=1e-5)


def test_pooling_by_hand() -> None:
    # Two tokens (3, 0), (1, 4) and filling: mean (2, 2), first (3, 0), last (1, 4).
    states = torch.tensor([[[3.0, 0.0], [1.0, 4.0], [9.0, 9.0]]])
    there = torch.tensor([[True, True, False]])
    assert pooled(states, there, Pooling("mean", is_normalised=False)).tolist() == [[2.0, 2.0]]
    assert pooled(states, there, Pooling("cls", is_normalised=False)).tolist() == [[3.0, 0.0]]
    assert pooled(states, there, Pooling("last", is_normalised=False)).tolist() == [[1.0, 4.0]]
    assert pooled(states, there, Pooling("mean")).tolist() == [pytest.approx([0.5**0.5, 0.5**0.5])]


def test_a_long_text_is_cut_off_where_the_model_ends(engine: TransformersEngine, tmp_path: Path) -> None:
    long = " ".join(["pens"] * 100)
    bert = write_encoder(tmp_path / "bert")
    assert load_reader(bert).most_tokens == 32  # the tokenizer's own limit
    (found,) = embedded(engine, bert, [long])
    assert found.tokens == 32
    (same,) = embedded(engine, bert, [" ".join(["pens"] * 30)])
    assert found.vector == same.vector
    (bert / "sentence_bert_config.json").write_text('{"max_seq_length": 12}', "utf-8")
    assert embedded(engine, bert, [long])[0].tokens == 12
    mpnet = write_encoder(tmp_path / "mpnet", "mpnet", max_position_embeddings=20)
    (found,) = embedded(engine, mpnet, [long])
    assert found.tokens == 18  # positions are counted from behind the padding token's


def test_a_text_without_a_token_is_told(engine: TransformersEngine, tmp_path: Path) -> None:
    from tests.engines.tiny import write_tokenizer

    folder = write_model(tmp_path)
    write_tokenizer(folder)
    backend = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    backend["post_processor"] = None
    (folder / "tokenizer.json").write_text(json.dumps(backend), "utf-8")
    with pytest.raises(DataError, match="text '' has no token"):
        embedded(engine, folder, ["pens", ""])


def test_an_encoder_can_embed_and_nothing_else(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path)
    with pytest.raises(ModelError, match="no end token"):
        open_checkpoint(folder)
    plain = open_checkpoint(folder, embeds=True)
    write_modules(folder, flags("mean_tokens"))
    pooled_so = open_checkpoint(folder, embeds=True)
    write_modules(folder, flags("cls_token"))
    assert len({plain.digest, pooled_so.digest, open_checkpoint(folder, embeds=True).digest}) == 3


def test_a_causal_model_is_the_same_checkpoint_whatever_it_is_asked(llama: Path) -> None:
    assert open_checkpoint(llama).digest == open_checkpoint(llama, embeds=True).digest


@pytest.mark.parametrize(
    ("pooling", "kinds", "reason"),
    [
        (flags("max_tokens"), (), r"pools by max_tokens \(1_Pooling/config.json\)"),
        ({**flags("cls_token"), "pooling_mode_mean_tokens": True}, (), "pools by cls_token, mean_tokens"),
        (flags(""), (), "pools by nothing"),
        (flags("mean_tokens"), ("Dense",), r"makes its vectors by Transformer, Pooling, Dense \(modules"),
    ],
)
def test_other_ways_of_making_vectors_are_refused_before_work_starts(
    engine: TransformersEngine, tmp_path: Path, pooling: dict[str, Any], kinds: tuple[str, ...], reason: str
) -> None:
    write_modules(write_encoder(tmp_path), pooling, kinds=kinds)
    checkpoint = open_checkpoint(tmp_path, embeds=True)
    with pytest.raises(ModelError, match=reason):
        list(engine.chunks(checkpoint, (), "embed"))


def test_an_encoder_decoder_is_refused(engine: TransformersEngine, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    write_encoder(tmp_path)
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    model: Any = AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model("t5", **sizes))
    model.save_pretrained(str(tmp_path))
    with pytest.raises(ModelError, match="encoder-decoder model"):
        embedded(engine, tmp_path, TEXTS)


def test_chunks_are_of_like_length_and_in_the_same_order_each_time(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    checkpoint = open_checkpoint(write_encoder(tmp_path), embeds=True)
    requests = asked(" ".join(["pens"] * (1 + place % 20)) for place in range(300))
    chunks = list(engine.chunks(checkpoint, requests, "embed"))
    assert [chunk.rows for chunk in chunks] == [75] * 4
    lengths = [len(one.messages[0].content) for chunk in chunks for one in chunk.requests]
    assert lengths == sorted(lengths, reverse=True)
    assert chunks == list(engine.chunks(checkpoint, reversed(requests), "embed"))
