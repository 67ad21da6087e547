"""Heads of classes or of a score: started on a causal checkpoint, and read off at the true last token.

A head is one linear map without bias from the last hidden state to a logit for each class (Burns et al. 2023,
arXiv:2312.09390, appendix A; openai/weak-to-strong, ``model.py``). What the paper is remembered to do and
what was released differ in its first values; see `with_head`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from docendo.core.errors import ModelError, SettingError
from docendo.core.losses import ClassLoss, Head, Loss, RewardPairs
from docendo.core.records import Message
from docendo.engines.checkpoints import classes_of, read_config
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.export import copy_companions, load_model, save_weights, without_progress_bar
from docendo.trainers.state import remove, settle

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Zeros:
    """A head of zeros, as released: every text begins with equal chances for all classes."""


@dataclass(frozen=True, slots=True)
class FromWords:
    """A head of the output rows of one word for each class, as the paper is remembered.

    With a prompt that ends where the word would stand, its logits are those that the language model gives the
    words' first tokens.
    """

    words: tuple[str, ...]
    """One for each class, class 0 first; read as they stand behind a space."""


class Pooled(nn.Module):
    """A classifier that is called with padded ids and the length of each text, and gives `class_logits`.

    A module of its own, so that what wraps a model for several processes sees its forward pass.
    """

    def __init__(self, classifier: PreTrainedModel) -> None:
        super().__init__()
        head_of(classifier)
        self.classifier = classifier

    def forward(
        self, ids: Int[Tensor, "texts time"], lengths: Int[Tensor, " texts"]
    ) -> Float[Tensor, "texts classes"]:
        """Return the logits at the last token of each text."""
        attended = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return class_logits(self.classifier, ids, attended)


def with_head(start: Path, folder: Path, classes: int = 2, init: Zeros | FromWords | None = None) -> None:
    """Write a classification checkpoint with the weights of a causal one; the same arguments, the same bytes.

    Args:
        start: Checkpoint directory of a causal language model.
        folder: Where to; ``AutoModelForSequenceClassification.from_pretrained`` reads it. An earlier one is
            replaced.
        classes: Of the head. 1: a head of scores, as reward models have.
        init: Its first values. None: zeros.

    Raises:
        SettingError: ``classes`` is below 1, or is not the number of words; two words begin with one token.
        ModelError: ``start`` is no causal checkpoint that can be read, or transformers has no classifier with
            a plain linear head for its architecture.
    """
    model = headed(start, classes, init)
    aside = folder.with_name(f"{folder.name}.tmp")
    remove(aside)
    aside.mkdir(parents=True)
    save_weights(model, aside)
    copy_companions(start, aside)
    (aside / "README.md").write_text(_card(classes, init or Zeros()), encoding="utf-8")
    remove(folder)
    settle(aside, folder)


def headed(
    start: Path, classes: int = 2, init: Zeros | FromWords | None = None, names: tuple[str, ...] = ()
) -> PreTrainedModel:
    """Return a classifier with the weights of a causal checkpoint, in their type; as `with_head` writes it.

    Args:
        start: Checkpoint directory of a causal language model.
        classes: Of the head.
        init: Its first values. None: zeros.
        names: What the classes are called, in the config; empty: transformers' own names.

    Raises:
        SettingError: As for `with_head`.
        ModelError: As for `with_head`.
    """
    if classes < 1:
        raise SettingError(f"classes is {classes}; expected at least 1")
    if count := classes_of(start):
        raise ModelError(
            f"{start} has a head of {count} classes already",
            hint="start from a causal language model, or train the head that is there (head none)",
        )
    values = _first_values(start, classes, init or Zeros())
    model: Any = _classifier(start, classes)
    head = head_of(model)
    with torch.no_grad():
        head.weight.copy_(values if values is not None else torch.zeros_like(head.weight))
    if names:
        model.config.id2label = dict(enumerate(names))
        model.config.label2id = {name: place for place, name in enumerate(names)}
    return model


def head_of(model: PreTrainedModel) -> nn.Linear:
    """Return the linear head of a classifier.

    Raises:
        ModelError: It has no head of that kind: one map without bias behind the backbone, called ``score``.
    """
    head = getattr(model, "score", None)
    if not isinstance(head, nn.Linear) or head.bias is not None:
        raise ModelError(
            f"{type(model).__name__} has no plain linear head",
            hint="expected a decoder's classifier with a map 'score' without bias, as Llama's or GPT-2's",
        )
    return head


def class_logits(
    model: PreTrainedModel, ids: Int[Tensor, "texts time"], attended: Bool[Tensor, "texts time"]
) -> Float[Tensor, "texts classes"]:
    """Return a classifier's logits at the last attended token of each text.

    Token ids play no part in where that is: counting ids that are no padding moves the place wherever the
    padding id is a real token, as 0 is for GPT-2, or the end token pads.

    Args:
        model: A decoder with a plain linear head; see `head_of`. Gradients flow through it.
        ids: Filled up on the right with anything.
        attended: True where a token stands: a run from the first place on. No text is empty.

    Raises:
        ModelError: The model has no such head.
        ValueError: A text is empty, or not filled up on the right.
    """
    head = head_of(model)
    lengths = attended.sum(dim=1)
    if not bool((lengths > 0).all()) or bool((attended[:, 1:] & ~attended[:, :-1]).any()):
        raise ValueError("a text is empty or not filled up on the right alone; expected True, then False")
    backbone: Any = model.base_model
    states = backbone(input_ids=ids, attention_mask=attended.long(), use_cache=False).last_hidden_state
    return head(states[torch.arange(len(ids), device=ids.device), lengths - 1])


def classes_to_train(start: Path, rows: Path, loss: Loss) -> int:
    """Return how many classes the head has that is trained: the start's, or what the loss begins on it.

    Args:
        start: Checkpoint directory.
        rows: Training rows; their first choices are the classes of a head that is begun.
        loss: What is minimised.

    Returns:
        Count; 1: a head of a score; 0: no head is trained.

    Raises:
        SettingError: The start has a head that the loss cannot train.
    """
    import pyarrow.parquet as pq

    classes = classes_of(start)
    if isinstance(loss, RewardPairs):
        if classes > 1:
            raise SettingError(
                f"{start} has a head of {classes} classes; loss {loss.name} trains one of a single score",
                hint="start from a reward model, or from a causal model",
            )
        return 1
    if classes == 1:
        raise SettingError(
            f"{start} is a reward model, which loss {loss.name} cannot train",
            hint=f"train it with {RewardPairs.name}, or start from a causal model",
        )
    if classes and (not isinstance(loss, ClassLoss) or not getattr(loss, "renormalised", True)):
        raise SettingError(
            f"{start} has a classification head, which loss {loss.name} cannot train",
            hint="train it with xent, logconf or product over its classes, or start from a causal model",
        )
    if _head_to_begin(start, loss) == "none":
        return classes
    with pq.ParquetFile(rows) as file:
        first = next(file.iter_batches(batch_size=1, columns=["choices"]), None)
    choices = first.column(0).to_pylist() if first is not None else []
    return max(2, len(choices[0] or ())) if choices else 2


def model_to_train(start: Path, loss: Loss, names: tuple[str, ...]) -> PreTrainedModel:
    """Return the model that a training begins with, in single precision.

    Args:
        start: Checkpoint directory.
        loss: Says whether and how a head is begun on it.
        names: What the classes of that head are called.

    Raises:
        ModelError: It cannot be read, or has no place for a head.
        SettingError: The names begin with one token, and the head is begun with their words.
    """
    begun = _head_to_begin(start, loss)
    if begun == "none":
        model = load_model(start, torch.float32)
    else:
        init = FromWords(names) if begun == "words" else Zeros()
        model: Any = headed(start, len(names), init, names).float()
    if isinstance(loss, RewardPairs):
        _without_ends_as_padding(model, Tokenizer.load(start).end_ids)
    return model


def _head_to_begin(start: Path, loss: Loss) -> Head:
    """Return how a head is begun on the start; none: it is trained as it is."""
    if isinstance(loss, RewardPairs):
        return "none" if classes_of(start) else "zeros"
    return loss.head if isinstance(loss, ClassLoss) else "none"


def _without_ends_as_padding(model: PreTrainedModel, end_ids: frozenset[int]) -> None:
    """Forget a padding token that is an end token.

    transformers reads a head off the last token that is not padding: of a finished text that would be the
    token before its end. Without a padding token it reads the last one, and refuses texts that are filled up.
    """
    config = model.config.get_text_config()
    if config.pad_token_id in end_ids:
        config.pad_token_id = None


def _first_values(start: Path, classes: int, init: Zeros | FromWords) -> Tensor | None:
    if isinstance(init, Zeros):
        return None
    if len(init.words) != classes:
        raise SettingError(f"words are {init.words}; expected one for each of {classes} classes")
    tokens = [first_token(start, word) for word in init.words]
    if len(set(tokens)) < classes:
        raise SettingError(
            f"words {init.words} begin with the tokens {tokens}; expected different ones",
            hint="choose words that this tokenizer tells apart at once, or start with zeros",
        )
    output: Any = load_model(start, torch.float32).get_output_embeddings()
    return output.weight.detach()[tokens].clone()


def first_token(start: Path, word: str) -> int:
    """Return the first token of a word behind a space, as it stands in the slot of a prompt."""
    before = (Message("text", "The answer is"),)
    (ids,) = Tokenizer.load(start).continuations_ids([(before, f" {word}")])
    return ids[0]


def _classifier(start: Path, classes: int) -> PreTrainedModel:
    """Load the backbone of a causal checkpoint with an untrained head, in the type of its weights."""
    from transformers import AutoModelForSequenceClassification

    try:
        with without_progress_bar(), _without_report():
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                str(start),
                num_labels=classes,
                dtype="auto",
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        kind = read_config(start).get("model_type")
        raise ModelError(f"transformers cannot make a classifier of {start} ({kind}): {error}") from error
    model, found = loaded
    if missing := sorted(set(found["missing_keys"]) - {"score.weight"}):
        raise ModelError(f"the weights in {start} lack {len(missing)} tensors, first {missing[0]}")
    return model


@contextlib.contextmanager
def _without_report() -> Iterator[None]:
    """Keep transformers from warning that the head is missing: that is what is wanted here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _card(classes: int, init: Zeros | FromWords) -> str:
    begun = "zeros" if isinstance(init, Zeros) else f"the output rows of {json.dumps(init.words)}"
    return f"A causal language model with an untrained head of {classes} classes, begun with {begun}.\n"
