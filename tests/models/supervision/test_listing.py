from __future__ import annotations

from datetime import date

import pytest

from models.errors import ConfigError
from models.records.publicity import default_rules
from models.supervision.listing import FILE, listings
from models.supervision.rulefiles import RuleKind, read

TODAY = date(2026, 11, 22)


def wrong(old: str, new: str) -> str:
    content = FILE.read_text(encoding="utf-8")
    assert old in content
    with pytest.raises(ConfigError) as raised:
        read(RuleKind.LISTING, content.replace(old, new, 1))
    return str(raised.value)


def test_every_list_has_terms_of_its_kind() -> None:
    terms = default_rules().terms_on(TODAY).by_listing
    assert {one.kind for one in listings().lists} <= terms.keys()


def test_codes_are_those_that_records_carry() -> None:
    found = listings().trigger("abnormal", "1", TODAY)
    assert found is not None
    assert (found.title, found.list_within) == ("未按规定期限公示年度报告", 10)


def test_what_did_not_hold_then_is_not_there() -> None:
    assert listings().of("serious", date(2021, 8, 31)) is None
    assert listings().of("serious", date(2021, 9, 1)) is not None
    assert listings().trigger("serious", "5", date(2021, 8, 31)) is None
    assert listings().trigger("abnormal", "9", TODAY) is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("kind: serious", "kind: serous", "did you mean 'serious'"),
        ("kind: serious", "kind: abnormal", "abnormal: two versions hold on 2021-09-01"),
        ('code: "2"', 'code: "1"', "code '1' is there twice"),
        ('["1", "3", "4"]', '["1", "9"]', "has no trigger '9'"),
        ("    effective_from: 2014-10-01\n", "", "missing key 'effective_from'"),
        ("certainty: text, list_within: 10", "list_within: 10", "missing key 'certainty'"),
        ("    notice: false\n", "    notice: false\n    grade: D\n", "unknown key 'grade'"),
    ],
)
def test_wrong_lists_are_refused_with_their_line(old: str, new: str, told: str) -> None:
    message = wrong(old, new)
    assert message.startswith("listing.yaml:")
    assert told in message
