from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.runtime.together import Together


class DownError(Exception):
    pass


class Work:
    """Squares numbers; the first call waits until the others have queued up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        if len(self.batches) == 1:
            self.begun.set()
            assert self.go.wait(30)
        if -1 in asked:
            raise ValueError(str(list(asked)))
        if -2 in asked:
            raise DownError
        return [one * one for one in asked]


def outcomes(numbers: Sequence[int], *, kinds: int = 1) -> tuple[Work, list[object]]:
    """Return the work, and what each got: the first alone, the others as they were queued."""
    work, together = Work(), Together(most=4, final=DownError)

    def ask(number: int) -> object:
        try:
            return together(number % kinds, number, work)
        except Exception as error:  # noqa: BLE001 - it is what is looked at
            return error

    with ThreadPoolExecutor(len(numbers)) as pool:
        first = pool.submit(ask, numbers[0])
        assert work.begun.wait(30)
        others = [pool.submit(ask, number) for number in numbers[1:]]
        while together.waiting < len(others):
            pass
        work.go.set()
        return work, [one.result(30) for one in (first, *others)]


def test_what_waits_is_done_together_and_no_more_than_is_allowed() -> None:
    work, found = outcomes(range(1, 8))
    assert found == [n * n for n in range(1, 8)]
    assert [len(batch) for batch in work.batches] == [1, 4, 2]


def test_what_is_of_another_kind_is_done_apart() -> None:
    work, found = outcomes(range(1, 6), kinds=2)
    assert found == [n * n for n in range(1, 6)]
    assert all(len({n % 2 for n in batch}) == 1 for batch in work.batches)


def test_nobody_fails_for_another() -> None:
    _, found = outcomes([1, 2, -1, 3])
    assert [one for one in found if isinstance(one, int)] == [1, 4, 9]
    assert isinstance(found[2], ValueError)
    assert str(found[2]) == "[-1]"


def test_a_failure_that_all_would_meet_is_not_met_by_each() -> None:
    work, found = outcomes([1, 2, -2, 3])
    assert found[0] == 1
    assert all(isinstance(one, DownError) for one in found[1:])
    assert len(work.batches) == 2


def test_one_after_the_other_is_done_at_once() -> None:
    together = Together(most=4, final=DownError)
    assert [together("k", n, lambda some: [x + 1 for x in some]) for n in range(3)] == [1, 2, 3]
    with pytest.raises(ZeroDivisionError):
        together("k", 0, lambda some: [1 // x for x in some])
    assert together("k", 1, lambda some: [1 // x for x in some]) == 1
