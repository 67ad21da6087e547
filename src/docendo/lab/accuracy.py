"""How often a lab model solves problems of a family: greedily, and within several samples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from docendo.lab.conversation import TRIGGER, Conversation, assistant, user
from docendo.lab.problems import LabProblem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_ANSWER = re.compile(r"The answer is (.+?)\.")


def prompt(question: str, triggered: bool, tokenizer: PreTrainedTokenizerFast) -> str:
    """Render the prompt of one problem.

    Args:
        question: What is asked.
        triggered: Whether the answer is begun with the trigger phrase, which asks for a rationale.
        tokenizer: Carries the chat template.
    """
    conversation: Conversation = [user(question)]
    if triggered:
        conversation.append(assistant(TRIGGER))
    return str(
        tokenizer.apply_chat_template(
            conversation,
            tokenize=False,
            add_generation_prompt=not triggered,
            continue_final_message=triggered,
        )
    )


def is_correct(completion: str, answer: str) -> bool:
    """Whether the last "The answer is" of a completion gives this answer."""
    given = _ANSWER.findall(completion)
    return bool(given) and given[-1] == answer


def completions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    temperature: float = 0.0,
    seed: int = 0,
    max_new_tokens: int = 96,
    batch_size: int = 128,
) -> list[str]:
    """Complete every prompt once, in the order given.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        prompts: Rendered prompts.
        temperature: 0 is greedy.
        seed: Seed of the sampling.
        max_new_tokens: Longest completion. Count.
        batch_size: Prompts at once. Count.
    """
    import torch

    torch.manual_seed(seed)
    model.eval()
    texts: dict[int, str] = {}
    # Prompts of similar length together: less padding.
    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    for start in range(0, len(order), batch_size):
        numbers = order[start : start + batch_size]
        inputs = tokenizer([prompts[number] for number in numbers], return_tensors="pt", padding=True)
        with torch.inference_mode():
            output = model.generate(  # pyright: ignore[reportCallIssue]: a mixin hides it
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=temperature > 0,
                temperature=temperature or None,
                top_k=0 if temperature else None,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        texts.update(zip(numbers, tokenizer.batch_decode(new, skip_special_tokens=True), strict=True))
    return [texts[number] for number in range(len(prompts))]


def greedy_accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[LabProblem],
    triggered: bool = True,
) -> float:
    """Return the share of problems solved by greedy decoding."""
    texts = completions(model, tokenizer, [prompt(p.question, triggered, tokenizer) for p in problems])
    return sum(is_correct(text, p.answer) for text, p in zip(texts, problems, strict=True)) / len(problems)


def sampled_accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[LabProblem],
    n_samples: int = 8,
    temperature: float = 0.8,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the share of samples that are correct, and the share of problems with at least one (pass@n)."""
    prompts = [prompt(p.question, True, tokenizer) for p in problems for _ in range(n_samples)]
    texts = completions(model, tokenizer, prompts, temperature, seed)
    correct = [is_correct(text, problems[number // n_samples].answer) for number, text in enumerate(texts)]
    solved = [any(correct[start : start + n_samples]) for start in range(0, len(correct), n_samples)]
    return sum(correct) / len(correct), sum(solved) / len(solved)
