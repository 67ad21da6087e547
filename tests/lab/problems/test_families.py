"""Properties that hold for every family: reproducible, disjoint, unique."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.lab.problems import FAMILIES
from docendo.lab.problems.family import SPLIT_FORTIETHS, permuted

families = st.sampled_from(sorted(FAMILIES))
splits = st.sampled_from(sorted(SPLIT_FORTIETHS))
seeds = st.integers(0, 2**40)


@given(families, splits, seeds, st.lists(st.integers(0, 400), min_size=1, max_size=5))
def test_problem_depends_on_its_place_alone(name, split, seed, indices):
    family = FAMILIES[name]
    forwards = {index: family.problem(split, index, seed) for index in indices}
    backwards = {index: family.problem(split, index, seed) for index in reversed(indices)}
    assert forwards == backwards


@given(families, splits, seeds)
def test_more_problems_leave_the_first_ones_as_they_are(name, split, seed):
    family = FAMILIES[name]
    assert list(family.problems(split, 9, seed))[:4] == list(family.problems(split, 4, seed))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("split", SPLIT_FORTIETHS)
def test_no_question_occurs_twice_in_a_split(name, split):
    count = min(3000, FAMILIES[name].size(split))
    questions = {problem.question for problem in FAMILIES[name].problems(split, count, seed=3)}
    assert len(questions) == count


@pytest.mark.parametrize("name", FAMILIES)
def test_splits_share_no_question_even_with_other_seeds(name):
    family = FAMILIES[name]
    seen: dict[str, str] = {}
    for split in SPLIT_FORTIETHS:
        for seed in (0, 1):
            for problem in family.problems(split, min(1500, family.size(split)), seed):
                assert seen.setdefault(problem.question, split) == split


@given(st.integers(1, 500), st.text(max_size=5))
def test_permuted_is_one_to_one(size, key):
    assert sorted(permuted(position, size, key) for position in range(size)) == list(range(size))


@given(families, splits, seeds, st.integers(0, 400))
def test_there_are_three_or_more_different_rationales(name, split, seed, index):
    problem = FAMILIES[name].problem(split, index, seed)
    assert len(set(problem.rationales)) == len(problem.rationales) >= 3
    assert (problem.family, problem.split, problem.index, problem.seed) == (name, split, index, seed)


@pytest.mark.parametrize("name", FAMILIES)
def test_first_rationale_is_a_fair_draw_of_a_phrasing(name):
    words = [problem.rationales[0] for problem in FAMILIES[name].problems("train", 400)]
    assert 50 < sum(" makes " in text or "gives" in text for text in words) < 220


@pytest.mark.parametrize("name", FAMILIES)
def test_sizes_end_where_errors_begin(name):
    family = FAMILIES[name]
    size = family.size("test")
    assert family.problem("test", size - 1).question
    with pytest.raises(IndexError, match=f"no problem {size} in test"):
        family.problem("test", size)
    with pytest.raises(IndexError):
        family.problem("test", -1)


def test_unknown_split_is_named():
    with pytest.raises(ValueError, match=r"unknown split 'dev'\nhint: one of pretrain, train"):
        FAMILIES["chain"].problem("dev", 0)


def test_another_process_makes_the_same_problems():
    program = (
        "from docendo.lab.problems import FAMILIES\n"
        "print([f.problem('test', 7, 5) for f in FAMILIES.values()])\n"
        "import sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    problems, imported = made.splitlines()
    assert problems == str([family.problem("test", 7, 5) for family in FAMILIES.values()])
    assert imported == "False False"


def test_story_zero_is_what_it_was():
    problem = FAMILIES["stories"].problem("test", 0)
    assert (problem.question, problem.answer) == (
        "Eva carries 2 bins, and each holds 6 blue planes. She drops 10 planes at school. "
        "She buys 6 more bins of 6 planes each. How many planes does she have in the end?",
        "38",
    )
