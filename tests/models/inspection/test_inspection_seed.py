from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest
from pydantic import ValidationError

from models.errors import InspectionError
from models.inspection.seed import Entropy, freeze, make_seed, seed_text
from tests.models.inspection.pools import FROZEN, committed, pool, seeded, values

LATER = FROZEN + timedelta(hours=1)


def nonce(source: str, value: str) -> Entropy:
    digest = sha256(value.encode()).hexdigest()
    return Entropy(source=source, value=value, published_at=LATER, digest=digest)


def test_a_seed_is_the_digest_of_what_was_published() -> None:
    made = seeded(pool())
    text = (
        "xinjian-draw-v1\n2026-食品-01\n" + pool().commitment + "\n双色球 2026003\n"
        "01,05,12,19,27,33+08\ndrand 4501234\n" + "9f3c" * 16 + "\n"
    )
    assert seed_text(made.commitment, made.entropy) == text
    assert made.seed == sha256(text.encode()).hexdigest()


def test_everything_that_goes_in_changes_the_seed() -> None:
    one = committed(pool())
    first, second = values()
    others = [
        (freeze(pool(), "2026-食品-02", at=FROZEN), [first, second]),
        (committed(pool(40)), [first, second]),
        (one, [second, first]),
        (one, [first]),
        (one, [first.model_copy(update={"value": "02"}), second]),
    ]
    seeds = {make_seed(of, entropy).seed for of, entropy in others}
    assert len(seeds | {seeded(pool()).seed}) == 6


@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=-1)])
def test_a_value_that_was_there_before_the_freeze_is_refused(after: timedelta) -> None:
    with pytest.raises(InspectionError, match="not after the freeze"):
        make_seed(committed(pool()), values(after=after))


def test_a_seed_needs_a_value_and_each_source_once() -> None:
    with pytest.raises(InspectionError, match="at least one public value"):
        make_seed(committed(pool()), [])
    with pytest.raises(InspectionError, match="stands twice"):
        make_seed(committed(pool()), [values()[0], values()[0]])


def test_nonces_need_two_parties() -> None:
    parties = [nonce("市局", "k3v9"), nonce("商会", "p0q1")]
    assert make_seed(committed(pool()), parties).seed
    assert make_seed(committed(pool()), [parties[0], values()[0]]).seed
    with pytest.raises(InspectionError, match="add a second party"):
        make_seed(committed(pool()), parties[:1])


def test_a_nonce_must_open_its_digest() -> None:
    with pytest.raises(ValidationError, match="not the one its digest committed to"):
        Entropy(source="市局", value="k3v9", published_at=LATER, digest="0" * 64)


@pytest.mark.parametrize("text", ["", "two\nlines", "a\x00b", "a\u2028b"])
def test_texts_are_one_line(text: str) -> None:
    with pytest.raises(ValidationError):
        Entropy(source=text, value="1", published_at=LATER)
    with pytest.raises(InspectionError, match="one line"):
        freeze(pool(), text, at=FROZEN)


def test_a_freeze_says_what_was_frozen() -> None:
    made = committed(pool())
    assert (made.commitment, made.subjects) == (pool().commitment, 122)
    assert made.frozen_at == FROZEN
