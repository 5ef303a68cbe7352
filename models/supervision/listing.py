"""Lists (名录、名单): the facts that put a subject on one, by the codes that records carry.

How long an entry counts, and when its early removal may be applied for, are the terms of its kind
in :mod:`models.records.publicity`; here is why somebody is listed, by whom, and in how many working
days. Sources: 企业信息公示暂行条例, 市场监管总局令第44号, 法释〔2017〕7号, other rules.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from models import yaml
from models.records.publicity import Certainty
from models.records.tables.standing import LISTING_KINDS
from models.supervision.dated import Basis, Dated, Frozen
from models.yaml import nearest

FILE: Final = Path(__file__).with_name("listing.yaml")
"""The lists that come with the package."""

Days: TypeAlias = Annotated[int, Field(ge=0, le=250)]
Listed: TypeAlias = Literal["enterprise", "individual_business", "person"]


class Trigger(Frozen):
    """A fact that puts a subject on a list; ``code`` is what ``listing.reason_code`` has.

    ``list_within`` and ``remove_within`` are working days, from the fact and from an application;
    null where no rule says them. ``exit`` is what ends the entry, null: by its term alone.
    """

    code: Annotated[str, Field(min_length=1, max_length=16)]
    title: str
    basis: str
    certainty: Certainty
    list_within: Days | None = None
    exit: str | None = None
    remove_within: Days | None = None


class List(Dated):
    """A list while one instrument holds; ``gate`` is what must hold besides a trigger."""

    kind: str
    title: str
    authority: str
    subjects: Annotated[tuple[Listed, ...], Field(min_length=1)]
    basis: Basis
    certainty: Certainty
    notice: bool
    gate: str | None = None
    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in LISTING_KINDS:
            raise ValueError(f"no list '{self.kind}'{nearest(self.kind, LISTING_KINDS)}")
        codes = [one.code for one in self.triggers]
        if twice := sorted({one for one in codes if codes.count(one) > 1}):
            raise ValueError(f"{self.kind}: code '{twice[0]}' is there twice; one fact, one code")
        return self


class Marked(Dated):
    """Who is marked, rather than listed, for some of the facts of the abnormal list."""

    subject: Literal["individual_business", "cooperative"]
    title: str
    triggers: Annotated[tuple[str, ...], Field(min_length=1)]
    basis: str
    certainty: Certainty


class Listings(Frozen):
    """All lists; of one kind at most one version holds on a day."""

    lists: Annotated[tuple[List, ...], Field(min_length=1)]
    marked: tuple[Marked, ...] = ()

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for place, one in enumerate(self.lists):
            for other in self.lists[place + 1 :]:
                if one.kind == other.kind and _overlap(one, other):
                    raise ValueError(
                        f"{one.kind}: two versions hold on "
                        f"{max(one.effective_from, other.effective_from)}; end the earlier before"
                    )
        codes = {
            one.code for each in self.lists if each.kind == "abnormal" for one in each.triggers
        }
        for one in self.marked:
            if odd := sorted({*one.triggers} - codes):
                raise ValueError(f"{one.subject}: the abnormal list has no trigger '{odd[0]}'")
        return self

    def of(self, kind: str, on: date) -> List | None:
        """Return the list of a kind as it holds on a day; ``None`` where none does."""
        return next((one for one in self.lists if one.kind == kind and one.in_force(on)), None)

    def trigger(self, kind: str, code: str, on: date) -> Trigger | None:
        """Return the fact behind a code of a list on a day; ``None`` where there is none."""
        found = self.of(kind, on)
        told = () if found is None else found.triggers
        return next((one for one in told if one.code == code), None)


@cache
def listings() -> Listings:
    """Return the lists that come with the package; read once."""
    return load_listings(FILE)


def load_listings(path: Path | str) -> Listings:
    """Read lists from YAML; :class:`ConfigError` with ``file:line`` if they are wrong."""
    return yaml.load(path, Listings)


def _overlap(one: Dated, other: Dated) -> bool:
    return one.effective_from <= (other.effective_to or date.max) and other.effective_from <= (
        one.effective_to or date.max
    )
