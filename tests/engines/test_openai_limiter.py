"""The limit on requests in flight: its bounds, and where it settles at servers of known capacity."""

from __future__ import annotations

import asyncio
import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from docendo.engines.openai_protocol.limiter import AdaptiveLimit, Limiter


@given(st.integers(1, 200), st.lists(st.booleans(), max_size=600))
def test_the_limit_stays_between_one_and_the_most(most: int, outcomes: list[bool]) -> None:
    law = AdaptiveLimit(most)
    for refused in outcomes:
        law.note(refused=refused)
        assert 1 <= law.limit <= most


@given(st.integers(1, 300))
def test_a_server_that_never_refuses_gets_the_most_within_few_requests(most: int) -> None:
    law = AdaptiveLimit(most)
    # Doubled after each window: windows of 8, 8, 16, 32, ... until the most is reached.
    for _ in range(16 + 2 * most):
        law.note(refused=False)
    assert law.limit == most


@given(st.integers(1, 300))
def test_a_server_that_is_away_gets_one_request_at_a_time_and_then_all_again(most: int) -> None:
    law = AdaptiveLimit(most)
    for _ in range(4 * most + 200):
        law.note(refused=False)
    for _ in range(4 * most + 200):
        law.note(refused=True)
    assert law.limit == 1
    for _ in range(4 * most + 200):
        law.note(refused=False)
    # Only the window in which it came back holds both outcomes; the rest of the absence says nothing.
    assert law.limit >= 0.4 * most


@given(st.integers(2, 100), st.integers(0, 10_000))
def test_refusals_at_random_do_not_wear_the_limit_down(most: int, seed: int) -> None:
    law = AdaptiveLimit(most)
    rng = random.Random(seed)
    limits: list[int] = []
    for _ in range(100 * most + 400):
        law.note(refused=rng.random() < 0.1)
        limits.append(law.limit)
    later = limits[len(limits) // 2 :]
    assert sum(later) / len(later) > 0.75 * most


def settled_limit(capacity: int, random_share: float, seed: int) -> float:
    """Play a server on which each request takes one unit of time; return the mean limit after a while."""
    law = AdaptiveLimit(4 * capacity + 8)
    rng = random.Random(seed)
    ends: deque[tuple[float, bool]] = deque()  # a refused request keeps its place as long as an answer takes
    now, limits = 0.0, list[int]()
    for _ in range(200 * capacity + 2000):
        while len(ends) >= law.limit:
            now, refused = ends.popleft()
            law.note(refused=refused)
        working = sum(not refused for _, refused in ends)
        refused = working >= capacity or rng.random() < random_share
        ends.append((now + rng.uniform(0.9, 1.1), refused))
        ends = deque(sorted(ends))
        limits.append(law.limit)
    later = limits[len(limits) // 2 :]
    return sum(later) / len(later)


def test_it_settles_a_little_above_the_servers_capacity() -> None:
    for capacity in (1, 4, 16, 50):
        for share in (0.0, 0.1):
            found = settled_limit(capacity, share, seed=capacity)
            assert 0.9 * capacity <= found <= 1.6 * capacity + 2, (capacity, share, found)


@given(st.integers(1, 20), st.integers(1, 60), st.integers(0, 1000))
def test_places_are_never_more_than_the_limit_and_all_come_back(most: int, tasks: int, seed: int) -> None:
    rng = random.Random(seed)

    class Watched(Limiter):
        def _take(self) -> None:
            assert self.in_flight < self.law.limit
            super()._take()

    async def all_of_them() -> None:
        limiter = Watched(most)

        async def one() -> None:
            await limiter.acquire()
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            limiter.release(refused=rng.choice([True, False, None]), seconds=rng.choice([0, 1e-6]))

        running = [asyncio.create_task(one()) for _ in range(tasks)]
        for task in running[::3]:
            if rng.random() < 0.3:
                task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        assert all(one is None or isinstance(one, asyncio.CancelledError) for one in ended)
        await asyncio.sleep(0.001)  # places that refused requests still hold
        assert limiter.in_flight == 0

    asyncio.run(all_of_them())


def test_a_refused_request_holds_its_place_for_as_long_as_an_answer_takes() -> None:
    async def held() -> float:
        limiter = Limiter(1)
        await limiter.acquire()
        limiter.release(refused=False, seconds=0.1)  # what is usual
        await limiter.acquire()
        loop = asyncio.get_running_loop()
        began = loop.time()
        limiter.release(refused=True, seconds=0.0)
        await limiter.acquire()
        return loop.time() - began

    assert asyncio.run(held()) >= 0.09
