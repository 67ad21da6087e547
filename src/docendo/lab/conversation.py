r"""The one conversation format of the lab: chat template, phrases, and the messages that make up a document.

Everything a lab model reads is a conversation, rendered as::

    <s>Q: {question}\nA: {answer}</s>Q: {question}\nA: {answer}</s>

A system turn stands in front as ``{content}\n``. Each assistant turn begins with a space and ends with
``</s>``.
"""

from __future__ import annotations

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'Q: ' + message['content'] + '\\nA:' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
"""Ships inside every lab tokenizer. A user turn opens the answer, so a generation prompt adds nothing."""

TRIGGER = "Let's think step by step."
"""Begins every answer with a rationale. Given as the start of the answer, it asks for one."""
CHECK = "Check your answer."
RETRY = "Try again."
IS_RIGHT = "It is right."
IS_WRONG = "It is wrong."


Message = dict[str, str]
"""One turn, with ``role`` and ``content``: the form that ``apply_chat_template`` takes."""
Conversation = list[Message]


def user(content: str) -> Message:
    """Make a user turn."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """Make an assistant turn."""
    return {"role": "assistant", "content": content}


def direct(answer: str) -> str:
    """Write an answer without a rationale, like ``The answer is 12.``."""
    return f"The answer is {answer}."


def step_by_step(rationale: str, answer: str) -> str:
    """Write an answer with its rationale, like ``Let's think step by step. 2 + 3 = 5. The answer is 5.``.

    With an empty rationale the work is announced, and skipped.
    """
    return " ".join(part for part in (TRIGGER, rationale, direct(answer)) if part)


def rendered(conversation: Conversation) -> str:
    r"""Render a whole conversation exactly as :data:`CHAT_TEMPLATE` does.

    Example:
        >>> rendered([user("What is 2 + 3?"), assistant("The answer is 5.")])
        '<s>Q: What is 2 + 3?\nA: The answer is 5.</s>'
    """
    turns = {"system": "{}\n", "user": "Q: {}\nA:", "assistant": " {}</s>"}
    return "<s>" + "".join(turns[message["role"]].format(message["content"]) for message in conversation)
