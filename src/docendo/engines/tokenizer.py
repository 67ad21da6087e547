"""Messages to token ids and back: the one place where prompts and completions are tokenised.

Sampling and training meet here. A prompt is what `Tokenizer.render` gives, tokenised; what a model is to
learn after it is the rest of the model's turn, up to and with the first end token, tokenised by itself. So
the ids that a trainer makes of a text are those that a sampler would have had to draw to say it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from docendo.core.errors import DataError, ModelError
from docendo.core.records import Message
from docendo.core.seeds import digest_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

Messages = tuple[Message, ...]

_PROBE = "\ue000probe\ue000"
"""Stands for a text where only what a template puts around it is of interest: a private-use character."""
_CACHED_PROMPTS = 8192


class Tokenizer:
    """A fast tokenizer of the Hugging Face kind, with its chat template and its end tokens.

    Attributes:
        end_ids: Token ids that end a completion: the tokenizer's end token and the generation config's.
        eos_id: The tokenizer's own end token.
        pad_id: Filling for shorter rows; the end token where the tokenizer has no padding token.
        vocabulary: Number of token ids, added tokens included.
        digest: Equal digests: equal token ids for equal messages.
        has_chat_template: Whether prompts with chat roles can be rendered.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        folder: Path,
        render_chat: Callable[[list[dict[str, str]], bool], str] | None,
        eos_id: int,
        end_ids: frozenset[int],
        pad_id: int,
        digest: str,
    ) -> None:
        self._backend = backend
        self._folder = folder
        self._render_chat = render_chat
        self.has_chat_template = render_chat is not None
        self.eos_id = eos_id
        self.end_ids = end_ids
        self.pad_id = pad_id
        self.vocabulary = backend.get_vocab_size(with_added_tokens=True)
        self.digest = digest
        self._rendered: dict[Messages, str] = {}
        self._prompt_ids: dict[Messages, list[int]] = {}
        self._lead: dict[str, str] = {}
        self._text_start = self._ids_before_text()
        self._anchor = self._word_token()

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Load the tokenizer of a checkpoint directory.

        No code of the checkpoint is run, and torch is not imported.

        Args:
            folder: Directory with ``tokenizer.json`` and ``tokenizer_config.json``.

        Raises:
            ModelError: There is no ``tokenizer.json``, it cannot be read, or there is no end token.
        """
        if not (folder / "tokenizer.json").is_file():
            raise ModelError(
                f"no tokenizer in {folder}: expected tokenizer.json",
                hint="save one there: AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)",
            )
        from transformers import PreTrainedTokenizerFast

        try:
            fast = cast(
                "Any",
                PreTrainedTokenizerFast.from_pretrained(
                    str(folder),
                    local_files_only=True,
                    trust_remote_code=False,
                    clean_up_tokenization_spaces=False,
                ),
            )
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(f"cannot read the tokenizer of {folder}: {error}") from error
        ends = set(_generation_ends(folder))
        if fast.eos_token_id is None and not ends:
            raise ModelError(
                f"the tokenizer of {folder} has no end token, so no completion could ever stop",
                hint='name "eos_token" in tokenizer_config.json or "eos_token_id" in generation_config.json',
            )
        eos_id = int(fast.eos_token_id) if fast.eos_token_id is not None else min(ends)
        template = fast.chat_template
        if isinstance(template, dict):  # several named templates
            template = template.get("default")

        def render_chat(chat: list[dict[str, str]], goes_on: bool) -> str:
            return fast.apply_chat_template(
                chat,
                chat_template=template,
                tokenize=False,
                add_generation_prompt=not goes_on and chat[-1]["role"] != "assistant",
                continue_final_message=goes_on,
            )

        backend = fast.backend_tokenizer
        backend.no_padding()
        backend.no_truncation()
        return cls(
            backend,
            folder=folder,
            render_chat=None if template is None else render_chat,
            eos_id=eos_id,
            end_ids=frozenset({eos_id, *ends}),
            pad_id=eos_id if fast.pad_token_id is None else int(fast.pad_token_id),
            digest=digest_of([json.loads(backend.to_str()), template, eos_id]),
        )

    def render(self, messages: Messages) -> str:
        """Return the text that a model is given for ``messages``.

        Messages that all have role ``text`` are put one behind the other as they stand. Others go through the
        chat template: after a user or system message with the header of the model's turn, after an assistant
        message so that the model goes on with that turn.

        Raises:
            DataError: There are no messages, or role ``text`` is mixed with others.
            ModelError: The tokenizer has no chat template, or the template refuses the messages.
        """
        text = self._rendered.get(messages)
        if text is None:
            text = self._render(messages)
            _remember(self._rendered, messages, text)
        return text

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Return the token ids of ``render(messages)``.

        Plain text starts with what the tokenizer puts before any text (most often a start token); a chat
        template writes its own start, and nothing is added to it.

        Raises:
            DataError: As for `render`.
            ModelError: As for `render`.
        """
        return self.prompts_ids([messages])[0]

    def prompts_ids(self, prompts: Sequence[Messages]) -> list[list[int]]:
        """Return `prompt_ids` of each prompt; equal prompts are tokenised once, the others in one batch."""
        known = self._prompt_ids
        found = {messages: known[messages] for messages in prompts if messages in known}
        missing = list(dict.fromkeys(messages for messages in prompts if messages not in found))
        texts = [self.render(messages) for messages in missing]
        rows = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        for messages, row in zip(missing, rows, strict=True):
            found[messages] = [*self._text_start, *row.ids] if messages[0].role == "text" else row.ids
            _remember(known, messages, found[messages])
        return [list(found[messages]) for messages in prompts]

    def completion_ids(self, messages: Messages, text: str) -> list[int]:
        """Return the ids that a model is to learn after the prompt ``messages`` to say ``text``.

        The rest of the model's turn as the chat template writes it, up to and with the first end token; where
        the template writes none, the tokenizer's end token is added. White space that the template puts
        before every answer is not doubled if ``text`` begins with it. For plain text: ``text`` and the end
        token.

        Args:
            messages: The prompt. A last assistant message is a prefilled turn that ``text`` goes on with.
            text: The completion, without end token.

        Raises:
            DataError: As for `render`.
            ModelError: As for `render`.
        """
        return self.completions_ids([(messages, text)])[0]

    def completions_ids(self, pairs: Sequence[tuple[Messages, str]]) -> list[list[int]]:
        """Return `completion_ids` of each pair of prompt and text, tokenised in one batch."""
        turns = self._encode([self.turn(messages, text) for messages, text in pairs])
        return [self._ended(ids) for ids in turns]

    def learned_ids(
        self, pairs: Sequence[tuple[Messages, str]], sampled: Sequence[Sequence[int] | None]
    ) -> list[list[int]]:
        """Return what is learned of each text: the ids that were sampled where there are any.

        Args:
            pairs: Prompt and text, as for `completions_ids`.
            sampled: The ids of each text as sampled, with the end token; None or empty: `completion_ids`.
        """
        made = iter(self.completions_ids([pair for pair, ids in zip(pairs, sampled, strict=True) if not ids]))
        return [list(ids) if ids else next(made) for ids in sampled]

    def continuations_ids(self, pairs: Sequence[tuple[Messages, str]]) -> list[list[int]]:
        """Return the ids of each text as it stands after its prompt, without the end of the turn.

        The same as `completions_ids`, but only what the template puts *before* the text is kept: for
        comparing how likely several texts are as the beginning of an answer.
        """
        return self._encode([self._before(messages, text) + text for messages, text in pairs])

    def turn(self, messages: Messages, text: str) -> str:
        """Return what the chat template writes after ``render(messages)`` when the model says ``text``.

        Raises:
            DataError: As for `render`.
            ModelError: As for `render`.
        """
        if messages and messages[0].role == "text":
            self.render(messages)  # for its checks
            return text
        before = self.render(messages)
        lead = self._before(messages, text)
        said = messages[-1].content + text if _goes_on(messages) else text
        turns = messages[:-1] if messages[-1].role == "assistant" else messages
        if lead == "" and not _goes_on(messages):
            # Either the template adds nothing, or the text has it already: then it must not come twice.
            said = text.removeprefix(self._template_lead(messages))
        whole = self._chat((*turns, Message("assistant", said)), goes_on=False)
        if whole.startswith(before + lead + text):
            return whole[len(before) :]
        # A template may trim what it is given, or leave earlier thoughts out. The text is kept as it was
        # said, and only the end of the turn is taken from the template.
        probe = self._chat((*turns, Message("assistant", _PROBE)), goes_on=False)
        _, _, end = probe.rpartition(_PROBE)
        return lead + text + end

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, special tokens left out.

        White space at the beginning is kept: it may be what stands between a prompt and its continuation.
        """
        return self.decode_many([ids])[0]

    def decode_many(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return `decode` of each row, in one batch."""
        if self._anchor is None:
            return self._backend.decode_batch([list(ids) for ids in rows], skip_special_tokens=True)
        start = len(self._backend.decode([self._anchor]))
        texts = self._backend.decode_batch([[self._anchor, *ids] for ids in rows], skip_special_tokens=True)
        return [text[start:] for text in texts]

    def _encode(self, texts: list[str]) -> list[list[int]]:
        """Tokenise texts that stand in the middle: no special tokens, no word start invented before them."""
        if self._anchor is None:
            return [row.ids for row in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        before = self._backend.encode("\n", add_special_tokens=False).ids
        rows = self._backend.encode_batch_fast(["\n" + text for text in texts], add_special_tokens=False)
        return [row.ids[len(before) :] for row in rows]

    def _ended(self, ids: list[int]) -> list[int]:
        for place, token in enumerate(ids):
            if token in self.end_ids:
                return ids[: place + 1]
        return [*ids, self.eos_id]

    def _render(self, messages: Messages) -> str:
        if not messages:
            raise DataError("a prompt has no messages; expected at least one")
        roles = {message.role for message in messages}
        if roles == {"text"}:
            return "".join(message.content for message in messages)
        if "text" in roles:
            raise DataError(
                f"a prompt mixes role 'text' with {', '.join(sorted(roles - {'text'}))}",
                hint="use either only 'text', or only 'system', 'user' and 'assistant'",
            )
        if messages[-1].role == "assistant" and not messages[-1].content:
            messages = messages[:-1]  # nothing is prefilled
        return self._chat(messages, goes_on=_goes_on(messages))

    def _chat(self, messages: Messages, *, goes_on: bool) -> str:
        if self._render_chat is None:
            raise ModelError(
                f"the tokenizer of {self._folder} has no chat template, so it cannot put chat messages",
                hint="use a plain-text format (messages with role 'text')",
            )
        chat = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._render_chat(chat, goes_on)
        except Exception as error:  # the template is a program: it may raise anything
            roles = ", ".join(message.role for message in messages)
            raise ModelError(
                f"the chat template of {self._folder} refuses messages with roles {roles}: {error}",
                hint="use a format without the role that it does not know, most often 'system'",
            ) from error

    def _template_lead(self, messages: Messages) -> str:
        """Return what the template writes between the header of the model's turn and its text."""
        key = ",".join(message.role for message in messages)
        if key not in self._lead:
            before = self.render(messages)
            whole = self._chat((*messages, Message("assistant", _PROBE)), goes_on=False)
            lead, found, _ = whole[len(before) :].partition(_PROBE)
            self._lead[key] = lead if found and whole.startswith(before) else ""
        return self._lead[key]

    def _before(self, messages: Messages, text: str) -> str:
        if not messages or messages[0].role == "text" or _goes_on(messages):
            return ""
        if messages[-1].role == "assistant":
            messages = messages[:-1]
        lead = self._template_lead(messages)
        return "" if lead and text.startswith(lead) else lead

    def _ids_before_text(self) -> list[int]:
        with_special = self._backend.encode("a", add_special_tokens=True).ids
        without = self._backend.encode("a", add_special_tokens=False).ids
        for place in range(len(with_special)):
            if with_special[place : place + len(without)] == without:
                return with_special[:place]
        return []

    def _word_token(self) -> int | None:
        """Return a token to put before generated ids where word starts are invented and dropped.

        Sentencepiece tokenizers put a space before every text and drop one after decoding it. In the middle
        of a text both are wrong, so there a word is put before what is decoded, and a line break before what
        is tokenised. Other tokenizers need neither: None.
        """
        ids = self._backend.encode("a a", add_special_tokens=False).ids
        return None if self._backend.decode(ids[1:]) == " a" else ids[0]


def _goes_on(messages: Messages) -> bool:
    return messages[-1].role == "assistant" and bool(messages[-1].content)


def _remember(cache: dict[Messages, Any], messages: Messages, value: object) -> None:
    if len(cache) >= _CACHED_PROMPTS:
        cache.clear()
    cache[messages] = value


def _generation_ends(folder: Path) -> list[int]:
    """Return the end tokens that ``generate()`` uses: the generation config's, else the model config's."""
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            try:
                ends = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            except (ValueError, AttributeError) as error:
                raise ModelError(f"cannot read {path}: {error}") from error
            return [ends] if isinstance(ends, int) else list(ends or [])
    return []
