"""Two halves of some problems in which nothing that belongs together is torn apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from docendo.core.records import Problem
from docendo.core.seeds import derived_seed

Item = TypeVar("Item")


def halves(
    items: Iterable[Item],
    seed: int,
    *,
    problem: Callable[[Item], Problem],
    label: Callable[[Item], Hashable] = lambda item: None,
) -> tuple[list[Item], list[Item]]:
    """Cut items into two halves by the groups of their Problems, classes balanced as well as that goes.

        A  items of one group belong together; an item without a group stands alone
        B  the largest groups first, of equal ones in the order of a hash of the seed and the group
        C  each group goes to the half where it leaves the classes, and then the sizes, nearest to equal;
           where that is the same, to the one that a hash of the seed and the group says

    So the halves do not depend on the order of the items. Of groups of equal size that each hold as many
    items of every class, the halves differ by at most one group.

    Args:
        items: Problems, or rows with one; at most one for each Problem id is what makes sense.
        seed: Other seeds, other halves.
        problem: Gives the Problem of an item.
        label: Gives its class, to balance by. Where labels may not be seen, leave it out.

    Returns:
        Both halves, each in the order of the items; together they are all items.

    References:
        Burns et al. (2023), arXiv:2312.09390, appendix A: related questions stay in one half. The released
        code (openai/weak-to-strong) cuts at random, row by row.

    Example:
        >>> rows = [Problem(str(n), "?", "train", group=str(n // 2)) for n in range(8)]
        >>> [len(half) for half in halves(rows, 0, problem=lambda row: row)]
        [4, 4]
    """
    rows = list(items)
    groups: dict[tuple[bool, str], list[int]] = {}
    for place, item in enumerate(rows):
        about = problem(item)
        groups.setdefault((bool(about.group), about.group or about.id), []).append(place)
    numbers = {key: derived_seed("halves", seed, *key) for key in groups}
    order = sorted(groups, key=lambda key: (-len(groups[key]), numbers[key], key))
    lead: Counter[Hashable] = Counter()  # by class: items of the first half less those of the second
    chosen: list[set[int]] = [set(), set()]
    for key in order:
        own = Counter(label(rows[place]) for place in groups[key])
        size = sum(own.values())
        here, there = ((_apart(lead, own, sign), abs(lead.total() + sign * size)) for sign in (1, -1))
        first = numbers[key] % 2 == 0 if here == there else here < there
        chosen[not first].update(groups[key])
        for name, count in own.items():
            lead[name] += count if first else -count
    one, other = ([row for place, row in enumerate(rows) if place in half] for half in chosen)
    return one, other


def _apart(lead: Counter[Hashable], own: Counter[Hashable], sign: int) -> int:
    """Return how far the halves are apart, over all classes, once a group has gone to one of them."""
    return sum(abs(lead[name] + sign * own[name]) for name in lead.keys() | own.keys())
