"""The ledger's locks: what one transaction holds no other gets, and each lock is its own."""

from __future__ import annotations

from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.errors import LedgerError
from serving.ledger.engine import Ledger
from serving.ledger.locks import Lock, hold, try_hold

NAMED = (None, "a", "b")


@pytest.mark.parametrize("name", NAMED)
def test_a_lock_is_held_until_the_end(ledger: Ledger, name: str | None) -> None:
    def hurried() -> None:
        with ledger.begin() as other:
            other.execute(text("set local lock_timeout = '50ms'"))
            hold(other, Lock.INBOX, name)

    with ledger.begin() as first:
        hold(first, Lock.INBOX, name)
        with pytest.raises((DBAPIError, LedgerError)):
            hurried()
    hurried()


def test_a_lock_that_is_held_is_told_at_once(ledger: Ledger) -> None:
    with ledger.begin() as first:
        assert try_hold(first, Lock.EMPTYING)
        with ledger.begin() as second:
            assert not try_hold(second, Lock.EMPTYING)
    with ledger.begin() as third:
        assert try_hold(third, Lock.EMPTYING)


def test_none_stands_in_the_way_of_another(ledger: Ledger) -> None:
    with ledger.begin() as first, ledger.begin() as second:
        second.execute(text("set local lock_timeout = '1s'"))
        for number, (lock, name) in enumerate(product(Lock, NAMED)):
            hold((first, second)[number % 2], lock, name)
