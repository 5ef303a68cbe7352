"""Random histories: what counts no more leaves no trace, and the order of arrival none either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.serving.histories.chronicle import QUARTERS, Quarter, World

FATES: Final[Mapping[str, tuple[str, ...]]] = {
    "stays": (),
    "expired": (),
    "repaired": ("apply", "accept", "repair"),
    "annulled": ("annul",),
    "annulled in repair": ("apply", "annul"),
    "annulled after repair": ("apply", "repair", "annul"),
    "voided by its source": ("void",),
    "refused": ("apply", "refuse", "apply", "withdraw"),
    "restored": ("apply", "repair", "restore"),
    "disputed": ("dispute",),
    "disputed and settled": ("dispute", "settle", "dispute", "settle"),
    "repaired in dispute": ("dispute", "apply", "accept", "repair", "settle"),
}
"""What happens to a record after it was posted, step by step."""
GONE: Final = frozenset(
    {"expired", "repaired", "annulled", "annulled in repair", "annulled after repair"}
    | {"voided by its source", "repaired in dispute"}
)
"""Fates after which a record counts no more."""
FEW: Final = 3

Told = tuple[str, str]
ALWAYS: Final = frozenset(
    {"stays", "annulled", "voided by its source", "disputed", "disputed and settled"}
)
"""Fates of records that no term repairs, as an inspection's."""
HISTORIES: Final[list[Told]] = [
    *((table, fate) for table in ("penalty", "listing") for fate in sorted(FATES)),
    *(("inspection", fate) for fate in sorted(ALWAYS)),
]
"""Tables with the fates of their records."""

histories = st.lists(st.sampled_from(HISTORIES), min_size=1, max_size=3)
seeds = st.integers(0, 2**32)
endings = st.sampled_from(["live", "live after compaction", "nightly", "nightly before compaction"])


def post(quarter: Quarter, number: int, told: Told) -> None:
    """Post a record; one that will have expired says how short its publicity is."""
    table, fate = told
    quarter.post(number, table, **({"max_months": 6} if fate == "expired" else {}))


def do(quarter: Quarter, number: int, step: str) -> None:
    """Take one step of a fate, which its record must allow."""
    if step == "void":
        day = quarter.world.service.today().isoformat()
        quarter.post(number, quarter.tables[number], void_from=day, void_reason="repaired")
    elif step == "dispute":
        assert quarter.dispute(number).is_success
        assert quarter.status(number)["disputed"] is True
    elif step == "settle":
        assert quarter.settle(number).is_success
    else:
        answer = quarter.act(number, step)
        assert answer.is_success, answer.text


def interleaved(
    quarter: Quarter, fates: Mapping[int, Told], rng: Random
) -> list[Callable[[], None]]:
    """Return all steps of all fates in some order that keeps each fate's own."""
    queues = [[partial(do, quarter, n, step) for step in FATES[f]] for n, (_, f) in fates.items()]
    found: list[Callable[[], None]] = []
    while queues := [one for one in queues if one]:
        found.append(rng.choice(queues).pop(0))
    return found


def play(quarter: Quarter, fates: Mapping[int, Told], rng: Random) -> None:
    """Let the steps come; in between the inbox is emptied, files are imported, all is decided."""
    for step in interleaved(quarter, fates, rng):
        step()
        chance = rng.random()
        if chance < 0.15:
            quarter.world.compact()
        elif chance < 0.3:
            quarter.world.work()
        elif chance < 0.5:
            quarter.repeat(rng.choice(sorted(fates)))


def begun(quarter: Quarter, fates: Mapping[int, Told], rng: Random) -> None:
    """Post the records in some order."""
    numbers = list(fates)
    rng.shuffle(numbers)
    for number in numbers:
        post(quarter, number, fates[number])
        if rng.random() < 0.2:
            quarter.world.compact()


def end(world: World, ending: str, *quarters: Quarter) -> None:
    """Decide everybody on the next day, one way or another."""
    if ending in {"live after compaction", "nightly"}:
        world.compact()
    world.work()
    world.tomorrow()
    if ending.startswith("live"):
        for one in quarters:
            one.decide()
    else:
        world.nightly()


def leaves_no_trace(world: World, told: list[Told], seed: int, ending: str) -> None:
    """Compare a history with one in which what is gone never was."""
    rng = Random(seed)
    fates = dict(enumerate(told, start=1))
    left = {number: told for number, told in fates.items() if told[1] not in GONE}
    all_of_it, without = world.quarter(), world.quarter()
    begun(all_of_it, fates, rng)
    begun(without, left, rng)
    world.compact()
    world.refer()  # of neighbours the night knows what was posted, whatever becomes of it
    all_of_it.decide()
    without.decide()
    play(all_of_it, fates, rng)
    play(without, left, rng)
    end(world, ending, all_of_it, without)
    assert all_of_it.judged() == without.judged(), (fates, seed, ending)
    assert all_of_it.drawn_from() == without.drawn_from()
    assert all_of_it.shown() == without.shown()
    assert all_of_it.timeline() == without.timeline()


def ends_in_one_state(world: World, told: list[Told], seeds: tuple[int, int], ending: str) -> None:
    """Compare two orders in which the same things arrive."""
    fates = dict(enumerate(told, start=1))
    ones = [world.quarter(), world.quarter()]
    for quarter, seed in zip(ones, seeds, strict=True):
        begun(quarter, fates, Random(seed))
        play(quarter, fates, Random(seed))
    world.compact()
    world.refer()
    end(world, ending, *ones)
    first, second = ones
    assert first.known() == second.known()
    assert first.judged() == second.judged()
    assert first.drawn_from() == second.drawn_from()
    assert first.shown() == second.shown()
    assert first.timeline() == second.timeline()
    assert standing(first) == standing(second)


def standing(quarter: Quarter) -> dict[int, dict[str, object]]:
    """Return where every record stands, whatever its number is here."""
    own = ("case", "record_id", "subject_id")
    return {
        number: {k: v for k, v in quarter.status(number).items() if k not in own}
        for number in quarter.records
    }


def some(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the settings of a test that shares one town among its examples."""
    assert 2 * examples <= QUARTERS
    return settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@some(FEW)
@given(told=histories, seed=seeds, ending=endings)
def test_what_counts_no_more_leaves_no_trace(
    world: World, told: list[Told], seed: int, ending: str
) -> None:
    leaves_no_trace(world, told, seed, ending)


@some(FEW)
@given(told=histories, pair=st.tuples(seeds, seeds), ending=endings)
def test_the_order_of_arrival_leaves_no_trace(
    world: World, told: list[Told], pair: tuple[int, int], ending: str
) -> None:
    ends_in_one_state(world, told, pair, ending)


@pytest.mark.slow
@some(QUARTERS // 2)
@given(told=histories, seed=seeds, ending=endings)
def test_what_counts_no_more_leaves_no_trace_in_many_histories(
    world: World, told: list[Told], seed: int, ending: str
) -> None:
    leaves_no_trace(world, told, seed, ending)


@pytest.mark.slow
@some(QUARTERS // 2)
@given(told=histories, pair=st.tuples(seeds, seeds), ending=endings)
def test_the_order_of_arrival_leaves_no_trace_in_many_histories(
    world: World, told: list[Told], pair: tuple[int, int], ending: str
) -> None:
    ends_in_one_state(world, told, pair, ending)
