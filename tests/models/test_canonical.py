from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from models.canonical import canonical_json, digest_of

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda some: (
        st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=3), some, max_size=3)
    ),
    max_leaves=8,
)


def test_the_form_is_fixed() -> None:
    data = {"b": [1, 2.5], "a": {"标题": "餐饮"}}
    assert canonical_json(data) == '{"a":{"标题":"餐饮"},"b":[1,2.5]}'
    assert digest_of(data) == hashlib.sha256(canonical_json(data).encode()).hexdigest()


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), PLAIN))
def test_the_order_of_keys_does_not_count(data: dict[str, object]) -> None:
    turned = dict(reversed(data.items()))
    assert digest_of(turned) == digest_of(data)
    assert json.loads(canonical_json(turned)) == data
