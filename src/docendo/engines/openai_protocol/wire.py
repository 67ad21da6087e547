"""The protocol itself: a prompt to a request's body, an answer's body to completions. No network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from docendo.core.errors import DataError
from docendo.core.protocols import Sampling
from docendo.core.records import Completion, Finish, Message
from docendo.core.seeds import digest_of
from docendo.engines.openai_protocol.prices import Price

_STOPPED = ("stop", "eos", "eos_token", "stop_sequence", "end_turn")
_CUT_OFF = ("length", "max_tokens", "max_length")
_MOST_TOLD = 200
"""Characters of what a server says that go into a reason."""
_BYTES_PER_TOKEN = 256
"""More than the longest token of any common vocabulary takes in JSON."""
_BYTES_BESIDE = 1 << 20


class Unusable(Exception):
    """An answer that came but cannot be used: cut off, no JSON, of another shape."""


@dataclass(frozen=True, slots=True)
class Call:
    """One question to a server: everything but how many samples are wanted."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    prefilled: str

    @property
    def path(self) -> str:
        """Under the base URL: plain text goes to the older kind of request, which puts no chat template."""
        return "completions" if self._is_text else "chat/completions"

    @property
    def _is_text(self) -> bool:
        roles = {message.role for message in self.messages}
        if "text" in roles and len(roles) > 1:
            raise DataError(
                f"a prompt mixes role 'text' with {', '.join(sorted(roles - {'text'}))}",
                hint="use either only 'text', or only 'system', 'user' and 'assistant'",
            )
        return "text" in roles

    def body(self, n: int, *, length_name: str = "max_tokens") -> bytes:
        """Return the JSON that asks for ``n`` samples. What has its default value is left out.

        No seed is sent: few servers heed one, and none for several samples of one request.
        """
        how = self.sampling
        body: dict[str, Any] = {"model": self.model}
        if self._is_text:
            body["prompt"] = "".join(message.content for message in self.messages)
        else:
            messages = [
                message for message in self.messages if message.role != "assistant" or message.content
            ]
            body["messages"] = [{"role": one.role, "content": one.content} for one in messages]
            if messages[-1].role == "assistant" and self.prefilled == "continue":
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        body |= {"temperature": how.temperature, length_name: how.max_new_tokens}
        if how.top_p < 1:
            body["top_p"] = how.top_p
        if how.top_k:
            body["top_k"] = how.top_k
        if how.stop:
            body["stop"] = list(how.stop)
        if n > 1:
            body["n"] = n
        return orjson.dumps(body)

    def most_bytes(self, n: int) -> int:
        """Return how long an answer may be; what is longer does not keep to ``max_new_tokens``."""
        return _BYTES_BESIDE + n * self.sampling.max_new_tokens * _BYTES_PER_TOKEN

    def at_most_usd(self, n: int, price: Price | None) -> float:
        """Return what ``n`` samples can cost: a token has a byte or more; each turn 16 for its marks."""
        if price is None:
            return 0.0
        prompt = sum(len(message.content.encode()) + 16 for message in self.messages)
        return price.of(prompt, n * self.sampling.max_new_tokens)

    def completions(self, content: bytes, n: int, price: Price | None) -> list[Completion]:
        """Read an answer to a request for ``n`` samples: see `completions_in`.

        Raises:
            Unusable: It is not what the protocol says.
        """
        return completions_in(content, n, stops=self.sampling.stop, price=price)

    def key(self, seed: int) -> str:
        """Return what a sample is kept under.

        The seed is not sent. It tells draws apart, as everywhere in the library: the same run seed, problem,
        messages and number make the same sample; another run seed is another draw. Greedy ones need none.
        """
        asked = {
            "model": self.model,
            "messages": self.messages,
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "top_k": self.sampling.top_k,
            "max_new_tokens": self.sampling.max_new_tokens,
            "stop": self.sampling.stop,
            "prefilled": self.prefilled,
            "seed": seed if self.sampling.temperature > 0 else None,
        }
        return digest_of(asked)


def completions_in(content: bytes, n: int, *, stops: Sequence[str], price: Price | None) -> list[Completion]:
    """Read an answer to a request for ``n`` samples.

    A choice whose index was there before is a repetition and is left out, as are choices beyond ``n``. Tokens
    and money that the server counts for all choices together are shared out evenly among them.

    Returns:
        Between 1 and ``n`` completions. Of a content filter, a refusal or a tool call: one with status
        ``failed``, for it is what the server answered. An empty text is a sample as any other.

    Raises:
        Unusable: It is not what the protocol says.
    """
    try:
        answer: Any = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Unusable(f"the answer is no JSON: {shown(content)!r}") from error
    if not isinstance(answer, dict):
        raise Unusable(f"the answer is no JSON object: {shown(content)!r}")
    answer = cast("dict[str, Any]", answer)
    choices: Any = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Unusable(f"the answer has no choices: {shown(content)!r}")
    by_index: dict[int, dict[str, Any]] = {}
    for place, choice in enumerate(cast("list[Any]", choices)):
        if not isinstance(choice, dict):
            raise Unusable(f"a choice is {type(choice).__name__}, expected an object")
        index: Any = choice.get("index", place)
        by_index.setdefault(index if isinstance(index, int) else place, choice)
    taken = [by_index[index] for index in sorted(by_index)][:n]
    prompted, generated = _usage(answer.get("usage"))
    usd = None if price is None or prompted is None else price.of(prompted, generated) / len(taken)
    shares = [generated // len(taken) + (place < generated % len(taken)) for place in range(len(taken))]
    return [
        _completion(choice, stops, prompt_tokens=prompted or 0, generated_tokens=share, usd=usd)
        for choice, share in zip(taken, shares, strict=True)
    ]


def _usage(usage: Any) -> tuple[int | None, int]:
    """Return (prompt tokens, generated tokens); None where the server did not count."""
    counts: dict[str, Any] = usage if isinstance(usage, dict) else {}
    prompted, generated = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if isinstance(prompted, int) and isinstance(generated, int) and prompted >= 0 and generated >= 0:
        return prompted, generated
    return None, 0


def _completion(
    choice: dict[str, Any],
    stops: Sequence[str],
    *,
    prompt_tokens: int,
    generated_tokens: int,
    usd: float | None,
) -> Completion:
    def made(text: str, finish: Finish, reason: str = "") -> Completion:
        return Completion(
            text,
            finish,
            prompt_tokens=prompt_tokens,
            generated_tokens=generated_tokens,
            status="failed" if reason else "ok",
            reason=reason,
            cost_usd=usd,
        )

    message: Any = choice.get("message")
    content: Any = message.get("content") if isinstance(message, dict) else choice.get("text")
    ended = choice.get("finish_reason")
    if ended == "content_filter":
        return made("", "failed", "content filter")
    if isinstance(message, dict) and content is None:
        refusal = cast("dict[str, Any]", message).get("refusal")
        if isinstance(refusal, str) and refusal:
            return made("", "failed", f"refusal: {shown(refusal.encode())}")
        if ended in ("tool_calls", "function_call"):
            return made("", "failed", "the model called a tool instead of answering")
    text = _text(content)
    if text is None:
        raise Unusable(f"a choice has no text: {shown(orjson.dumps(choice))!r}")
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    if found:  # some servers leave the stop text in, others do not heed it
        return made(text[: min(found)], "stop")
    if ended is None or ended in _STOPPED:
        return made(text, "stop")
    if ended in _CUT_OFF:
        return made(text, "length")
    return made("", "failed", f"ended for an unknown reason: {shown(str(ended).encode())}")


def _text(content: Any) -> str | None:
    """Return the text of a message: a string, or a list of parts."""
    if isinstance(content, list):
        parts: list[Any] = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(parts) if parts and all(isinstance(part, str) for part in parts) else None
    return content if isinstance(content, str) else None


def told_by(content: bytes) -> str:
    """Return what a server says in an error's body: the message in it, or its beginning."""
    try:
        answer: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return shown(content)
    for name in ("error", "detail", "message"):
        if isinstance(answer, dict) and name in answer:
            answer = cast("dict[str, Any]", answer)[name]
    return shown(answer.encode() if isinstance(answer, str) else content)


def shown(content: bytes) -> str:
    """Return the beginning of a text as one line that is safe to print."""
    text = " ".join(content[: 4 * _MOST_TOLD].decode("utf-8", "replace").split())
    text = "".join(letter for letter in text if letter.isprintable())
    return text if len(text) <= _MOST_TOLD else f"{text[:_MOST_TOLD]}..."
