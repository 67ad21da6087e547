"""Which problems are exams: never the problem itself, never of test, the nearest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError, SettingError
from docendo.core.records import Checkpoint, Embedding, Label, Model, Problem
from docendo.core.table import Rows, Table
from docendo.core.verbs import Verbs
from docendo.scorers.exams import Exam, FixedList, LexicallyNearest, NearestByEmbedding, SameGroup, shown

TAUGHT = Problem("t", "What is 3 + 4?", "test", group="sums")
POOL = [
    Problem("copy", "what is  3 + 4?", "exams", group="sums"),
    Problem("a", "What is 5 + 6?", "exams", group="sums"),
    Problem("b", "Who wrote Faust?", "exams", group="books"),
    Problem("c", "What is 7 + 8 + 9?", "exams", group="sums"),
    Problem("d", "3 + 4? what Is", "exams"),
]


EMBEDDER = Model(Checkpoint("e", "", "e"))
VECTORS: dict[str, tuple[float, ...]] = {
    "t": (2, 0),
    "copy": (1, 0),
    "a": (4, 3),
    "b": (0, 1),
    "c": (-1, 0),
    "d": (8, 6),
}


@dataclass
class Known:
    """The verb `embed`, of vectors that are known by problem id."""

    vectors: Mapping[str, Sequence[float]] = field(default_factory=lambda: VECTORS)

    def embed(self, model: Model, problems: Table[Problem], *, name: str) -> Table[Any]:
        assert model == EMBEDDER
        return problems.map(lambda one: (one, Embedding(tuple(self.vectors[one.id]))))


def found(
    maker: Any, taught: Sequence[Problem], pool: Sequence[Problem], vectors: Mapping[str, Any] = VECTORS
) -> list[tuple[Exam, ...]]:
    return list(maker.exams(Rows(taught), Rows(pool), cast("Verbs", Known(vectors))))


def ids(maker: Any, taught: Problem = TAUGHT) -> list[str]:
    (exams,) = found(maker, [taught], POOL)
    return [exam.problem.id for exam in exams]


def test_variants_are_of_the_same_group_and_never_the_problem_itself() -> None:
    assert ids(SameGroup()) == ["a", "c"]
    assert ids(SameGroup(count=1)) == ["a"]
    assert ids(SameGroup(), Problem("t", "What?", "test")) == []  # without a group it has none
    assert ids(SameGroup(), POOL[1]) == ["copy", "c"]


def test_some_variants_are_drawn_by_seed() -> None:
    drawn = {tuple(ids(SameGroup(count=1, shuffle_seed=seed))) for seed in range(20)}
    assert drawn == {("a",), ("c",)}
    assert ids(SameGroup(shuffle_seed=3)) == ids(SameGroup(shuffle_seed=3))


def test_the_nearest_by_words_stand_first_with_their_similarity() -> None:
    maker = LexicallyNearest(split="exams", count=3)
    (exams,) = found(maker, [TAUGHT], POOL)
    assert [exam.problem.id for exam in exams] == ["d", "a", "c"]
    similar = [exam.similarity for exam in exams]
    assert similar == sorted(similar, reverse=True)
    assert similar[0] == 1  # the same words
    assert 0 < similar[2] < similar[1] < 1


def test_the_nearest_by_embedding_stand_first_with_their_cosine() -> None:
    # To (2, 0): (4, 3) and (8, 6) have 4/5, in the order of the pool; (0, 1) has 0, and (-1, 0) has -1.
    maker = NearestByEmbedding(embedder=EMBEDDER, split="exams", count=4)
    (exams,) = found(maker, [TAUGHT], POOL)
    assert [(exam.problem.id, exam.similarity) for exam in exams] == [
        ("a", 0.8),
        ("d", 0.8),
        ("b", 0.0),
        ("c", -1.0),
    ]
    assert ids(NearestByEmbedding(embedder=EMBEDDER, split="exams", count=1)) == ["a"]
    assert ids(maker, POOL[1]) == ["d", "copy", "b", "c"]  # neither itself nor its id


def test_what_has_no_embedding_or_no_direction_is_near_to_nothing() -> None:
    maker = NearestByEmbedding(embedder=EMBEDDER, split="exams", count=2)
    vectors = {**VECTORS, "a": (), "b": (0, 0)}
    (exams,) = found(maker, [TAUGHT], POOL, vectors)
    assert [(exam.problem.id, exam.similarity) for exam in exams] == [("d", 0.8), ("b", 0.0)]
    assert found(maker, [TAUGHT, POOL[4]], POOL, {**vectors, "t": ()})[0] == ()
    assert found(maker, [TAUGHT], [], vectors) == [()]


def test_embeddings_of_two_widths_are_refused() -> None:
    maker = NearestByEmbedding(embedder=EMBEDDER, split="exams")
    with pytest.raises(DataError, match="embeddings of 2 and 3 numbers"):
        found(maker, [TAUGHT], POOL, {**VECTORS, "b": (0, 0, 1)})
    with pytest.raises(DataError, match="embeddings of 2 and 3 numbers"):
        found(maker, [TAUGHT], POOL, {**VECTORS, "t": (0, 0, 1)})


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=9), st.integers(1, 4))
def test_the_search_is_that_of_a_full_sort(vectors: list[tuple[int, int]], q: int) -> None:
    pool = [Problem(str(place), f"question {place}", "train") for place in range(len(vectors))]
    known = {one.id: vector for one, vector in zip(pool, vectors, strict=True)}
    maker = NearestByEmbedding(embedder=EMBEDDER, count=q)

    def cosine(a: tuple[int, int], b: tuple[int, int]) -> float:
        lengths = (a[0] ** 2 + a[1] ** 2) ** 0.5 * (b[0] ** 2 + b[1] ** 2) ** 0.5
        return (a[0] * b[0] + a[1] * b[1]) / lengths if lengths else 0.0

    for own, exams in zip(pool, found(maker, pool, pool, known), strict=True):
        others = [one for one in pool if one.id != own.id]
        ranked = sorted(others, key=lambda one: -round(cosine(known[own.id], known[one.id]), 6))
        assert [exam.problem.id for exam in exams] == [one.id for one in ranked[:q]]
        for exam in exams:
            assert exam.similarity == pytest.approx(cosine(known[own.id], known[exam.problem.id]), abs=1e-6)


@given(st.lists(st.text("ab ", min_size=1, max_size=6), min_size=1, max_size=12), st.integers(1, 4))
def test_no_maker_gives_a_problem_its_own_question_or_more_than_asked(questions: list[str], q: int) -> None:
    pool = [Problem(str(place), text, "train", group=text[0]) for place, text in enumerate(questions)]
    makers = [
        SameGroup(split="train", count=q),
        LexicallyNearest(count=q),
        NearestByEmbedding(embedder=EMBEDDER, count=q),
        FixedList(ids=tuple(one.id for one in pool)[:q]),
    ]
    vectors = {one.id: (float(len(one.question)), 1.0) for one in pool}
    for maker in makers:
        for taught, exams in zip(pool, found(maker, pool, pool, vectors), strict=True):
            assert len(exams) <= maker.count
            assert all(exam.problem.id != taught.id for exam in exams)
            asked = {" ".join(exam.problem.question.split()) for exam in exams}
            assert " ".join(taught.question.split()) not in asked


def test_a_list_is_the_same_for_all() -> None:
    assert ids(FixedList(ids=("b", "copy", "a"))) == ["b", "a"]
    with pytest.raises(SettingError, match="exam problem 'z' is none of the 5 problems of split train"):
        ids(FixedList(ids=("z",)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SameGroup(split="test"), "the exams' split is test"),
        (lambda: LexicallyNearest(split="test"), "the exams' split is test"),
        (lambda: NearestByEmbedding(embedder=EMBEDDER, split="test"), "the exams' split is test"),
        (lambda: NearestByEmbedding(embedder=EMBEDDER, count=0), "0 exam problems; expected at least 1"),
        (lambda: SameGroup(count=0), "0 exam problems; expected at least 1"),
        (lambda: FixedList(ids=()), "0 exam problems; expected at least 1"),
    ],
)
def test_no_exams_and_exams_of_test_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


def test_an_exam_is_shown_with_its_rationale_or_its_answer_alone() -> None:
    label = Label("t", "7", "3 + 4 = 7.")
    assert (shown(TAUGHT, label).rationale, shown(TAUGHT, label).answer) == ("3 + 4 = 7.", "7")
    alone = shown(TAUGHT, label, with_solution=False)
    assert (alone.question, alone.rationale, alone.answer) == (TAUGHT.question, "", "7")
