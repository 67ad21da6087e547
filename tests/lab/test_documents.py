"""The pretraining documents: shares, habits, exemplars with one meaning, attempts with honest checks."""

from __future__ import annotations

import hashlib
import re
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.lab.conversation import CHECK, IS_RIGHT, IS_WRONG, RETRY, TRIGGER, rendered
from docendo.lab.documents import DIRECT_SHARE, SHARES, STUDENT_SHARES, documents, spoiled
from docendo.lab.problems import FAMILIES

ANSWER = re.compile(r"The answer is (.+)\.$")


def answers(document):
    return [found[1] for turn in document if (found := ANSWER.search(turn["content"]))]


def test_the_same_seed_gives_the_same_documents_and_another_seed_others():
    first = list(islice(documents(seed=1), 50))
    assert first == list(islice(documents(seed=1), 50))
    assert first != list(islice(documents(seed=2), 50))


@pytest.mark.parametrize(
    ("shares", "digest"), [(SHARES, "ee00fca3a3ebfcb0"), (STUDENT_SHARES, "a41e16369f5f49a8")]
)
def test_the_corpus_is_still_the_one_the_shipped_models_read(shares, digest):
    text = "".join(map(rendered, islice(documents(seed=0, shares=shares), 200)))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_skipping_documents_announce_steps_and_write_none_and_change_nothing_else():
    skipping = re.compile(re.escape(TRIGGER) + r" The answer is \S+\.$")
    shares = {"stories": 1}
    some = list(islice(documents(seed=50, shares=shares, direct_share=0.75, skip_share=0.4), 2000))
    announced = [d for d in some if d[1]["content"].startswith(TRIGGER)]
    skipped = [d for d in announced if skipping.match(d[1]["content"])]
    assert 0.2 < len(announced) / len(some) < 0.3
    assert 0.34 < len(skipped) / len(announced) < 0.46
    assert all(
        skipping.match(turn["content"]) for d in skipped for turn in d[1::2]
    )  # a habit of the document
    none = islice(documents(seed=50, shares=shares, direct_share=0.75), 2000)
    assert not any(skipping.match(turn["content"]) for d in none for turn in d)


@pytest.mark.parametrize("name", ["stories", "chain", "addition", "letters", "dates"])
def test_worked_documents_answer_correctly_with_one_habit(name):
    gold = {p.question: p.answer for p in FAMILIES[name].problems("pretrain", 600, seed=4)}
    n_direct = 0
    for document in islice(documents(seed=4, shares={name: 1}), 300):
        questions = [turn["content"] for turn in document if turn["role"] == "user"]
        assert answers(document) == [gold[question] for question in questions]
        reasoned = [TRIGGER in turn["content"] for turn in document if turn["role"] == "assistant"]
        assert len(set(reasoned)) == 1
        n_direct += not reasoned[0]
    assert abs(n_direct / 300 - DIRECT_SHARE) < 0.1


def test_exemplar_documents_keep_to_one_verb_with_one_meaning():
    for document in islice(documents(seed=4, shares={"exemplar": 1}), 200):
        verbs, fitting = set(), []
        for question, answer in zip(document[::2], answers(document), strict=True):
            text = question["content"]
            n, m = map(int, re.findall(r"\d+", text))
            verbs |= set(re.findall(r"(\w+) \d+\.", text)) - {"has", "had", "are"}
            fitting.append({"+": n + m, "-": n - m, "*": n * m}.items() & {(s, int(answer)) for s in "+-*"})
        signs = [{sign for sign, _ in fits} for fits in fitting]
        assert len(signs) == 1 or len(set.intersection(*signs)) == 1
        assert len(verbs) == 1


def test_retry_documents_check_honestly_and_end_right():
    gold = {
        problem.question: problem.answer
        for name in ("stories", "chain", "verbs")
        for problem in FAMILIES[name].problems("pretrain", 1500, seed=4)
    }
    n_wrong = 0
    for document in islice(documents(seed=4, shares={"retry": 1}), 200):
        answer = gold[document[0]["content"]]
        given_answer = ""
        for before, turn in pairwise(document):
            if before["content"] == CHECK:
                assert turn["content"] == (IS_RIGHT if given_answer == answer else IS_WRONG)
                n_wrong += given_answer != answer
            elif turn["role"] == "assistant":
                given_answer = answers([turn])[0]
        assert document[-1]["content"] == IS_RIGHT
        assert [turn["content"] for turn in document if turn["role"] == "user"][1::2] == [CHECK] * (
            sum(turn["content"] == CHECK for turn in document)
        )
        assert (RETRY in [turn["content"] for turn in document]) == (
            IS_WRONG in [t["content"] for t in document]
        )
    assert n_wrong > 50


@given(st.sampled_from(["stories", "chain", "verbs"]), st.integers(0, 3000), st.integers(0, 9))
def test_one_mistake_is_carried_through(name, index, seed):
    problem = FAMILIES[name].problem("train", index)
    for rationale in problem.rationales:
        text, answer = spoiled(rationale, Random(seed), swap=name == "verbs")
        assert answer != problem.answer
        assert int(answer) > 0
        assert text.rstrip(".").endswith(f" {answer}")
        assert re.sub(r"\d+", "0", text) == re.sub(r"\d+", "0", rationale) or name == "verbs"
        values = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
        for word, sign in values.items():
            text = text.replace(word, sign)
        wrong = [
            step
            for step, right in re.findall(r"(\d+ [-+*/] \d+) (?:=|is|makes) (\d+)", text)
            if eval(step) != int(right)
        ]
        assert len(wrong) == (name != "verbs")


def test_the_student_never_reads_a_story():
    stories = re.compile(r"\b(buys|sells|boxes|times as many|equally|dollars)\b")
    for document in islice(documents(seed=0, shares=STUDENT_SHARES), 500):
        assert not stories.search(rendered(document))
