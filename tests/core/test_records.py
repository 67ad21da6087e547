"""How prompts grow by turns, and what an Example says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from docendo.core.records import (
    Checkpoint,
    Context,
    Example,
    Message,
    Model,
    Outcome,
    Problem,
    Prompt,
    Sample,
    Shot,
    Verdict,
)

PROBLEM = Problem("p1", "2 + 2?", "train")


def _sample(prompt: Prompt, text: str, id: str = "s1") -> Sample:
    return Sample(id, prompt, 0, text, "stop")


def test_a_new_turn_holds_what_the_model_said_and_names_the_sample() -> None:
    first = Prompt(PROBLEM, (Message("user", "2 + 2?"),))
    second = first.then(_sample(first, " 5"), "Check it.")
    assert second.messages == (
        Message("user", "2 + 2?"),
        Message("assistant", "5"),
        Message("user", "Check it."),
    )
    assert (second.parents, second.turn, second.prefix) == (("s1",), 1, "")
    third = second.then(_sample(second, " 4", "s2"), "Sure?")
    assert (third.parents, third.turn, len(third.messages)) == (("s1", "s2"), 2, 5)


def test_a_continued_turn_is_a_prefilled_message_that_grows() -> None:
    first = Prompt(PROBLEM, (Message("user", "2 + 2?"),))
    second = first.continued(_sample(first, " Well."), " Therefore the answer is")
    assert second.messages[-1] == Message("assistant", "Well. Therefore the answer is")
    assert (second.prefix, second.turn) == ("Well. Therefore the answer is", 0)
    sample = _sample(second, " 4", "s2")
    assert sample.full_text == "Well. Therefore the answer is 4"
    assert second.continued(sample, "!").messages[-1].content == "Well. Therefore the answer is 4!"
    assert sample.parents == ("s1",)


def test_plain_text_prompts_stay_plain_text() -> None:
    first = Prompt(PROBLEM, (Message("text", "Q: 2 + 2?\nA:"),))
    second = first.continued(_sample(first, " 4"), "\nQ:")
    assert second.messages == (Message("text", "Q: 2 + 2?\nA: 4\nQ:"),)
    assert second.prefix == ""


def test_a_sample_without_verdict_says_so_and_one_with_it_knows_whether_it_is_right() -> None:
    sample = _sample(Prompt(PROBLEM, ()), "4")
    with pytest.raises(KeyError):
        _ = sample.is_correct
    for outcome in Outcome:
        judged = replace(sample, verdicts={"verdict": Verdict(outcome)})
        assert judged.is_correct is (outcome is Outcome.CORRECT)


def test_an_example_tells_apart_what_is_asked_and_what_is_learned() -> None:
    messages = (
        Message("system", "Be brief."),
        Message("user", "one"),
        Message("assistant", "two"),
        Message("user", "three"),
    )
    assert Example(messages, completion="four").asked == "one\nthree"
    assert Example(messages, completion="four").learned == "four"
    assert Example(messages, chosen="yes", rejected="no").learned == "yes\nno"


def test_a_model_in_another_context_keeps_weights_and_takes_its_snapshots_along() -> None:
    checkpoint = Checkpoint("d", "t", "d")
    model = Model(checkpoint, Context(), (Model(checkpoint), Model(checkpoint)))
    shots = (Shot("q", "r", "a"),)
    other = model.using(system="Hi", shots=shots)
    assert other.checkpoint is checkpoint
    assert {one.context for one in (other, *other.snapshots)} == {Context("Hi", shots, "default")}
    assert other.using(format="plain").context == Context("Hi", shots, "plain")
    assert model.context == Context()


def test_a_checkpoint_is_the_same_wherever_it_lies_and_whatever_it_is_called() -> None:
    here = Checkpoint("d", "t", "r", name="mine", location="/a")
    there = Checkpoint("d", "t", "r", name="yours", location="/b")
    assert here == there
    assert hash(here) == hash(there)
