"""What prompts begin with alike is found, and reading it once changes nothing that comes out."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from docendo.engines.trunks import Trunk, trunks_of

START = list(range(100, 130))


def test_a_lesson_before_three_exams_is_one_trunk() -> None:
    lessons = [[*START, lesson, *range(20)] for lesson in (1, 2)]
    prompts = [[*lesson, 50 + exam, 7] for exam in range(3) for lesson in lessons]
    assert trunks_of(prompts) == [Trunk((0, 2, 4), 51), Trunk((1, 3, 5), 51)]


def test_where_little_is_shared_prompts_are_read_as_a_whole() -> None:
    assert trunks_of([[1, 2, 3, 4], [1, 2, 3, 5]]) == []  # shorter than a trunk
    rng = random.Random(0)
    assert trunks_of([[*range(8), *(rng.randrange(9, 999) for _ in range(200))] for _ in range(9)]) == []
    assert trunks_of([START]) == []
    assert trunks_of([]) == []


def test_the_last_token_of_a_prompt_is_never_in_a_trunk() -> None:
    assert trunks_of([START, START, [*START, 1]]) == [Trunk((0, 1, 2), len(START) - 1)]


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=30), min_size=1, max_size=40))
def test_trunks_hold_every_prompt_once_and_what_is_common_to_them(prompts: list[list[int]]) -> None:
    trunks = trunks_of(prompts)
    if not trunks:
        return
    members = [member for trunk in trunks for member in trunk.members]
    assert sorted(members) == list(range(len(prompts)))
    for trunk in trunks:
        assert len(trunk.members) <= 32
        assert trunk.length == 0 or trunk.length >= 8
        assert (len(trunk.members) == 1) <= (trunk.length == 0)
        assert len({tuple(prompts[member][: trunk.length]) for member in trunk.members}) == 1
        assert all(trunk.length < len(prompts[member]) for member in trunk.members)
