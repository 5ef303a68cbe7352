"""The files of rules: what each is, read from its text, checked with ``file:line``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from models import yaml
from models.errors import ConfigError
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.publicity import DEFAULT_RULES
from models.records.publicity import Rules as PublicityRules
from models.scenarios.where import parse
from models.supervision import ladder, listing, measures, repair, report, review, warning
from models.supervision.dated import Dated
from models.supervision.ladder import Ladder
from models.supervision.listing import Listings
from models.supervision.measures import Measures
from models.supervision.repair import Procedure
from models.supervision.review import Terms
from models.supervision.warning import Book


class RuleKind(StrEnum):
    """The files of rules that an office may have editions of its own of."""

    WARNINGS = "warnings"
    LADDER = "ladder"
    MEASURES = "measures"
    REPAIR = "repair"
    REVIEW = "review"
    LISTING = "listing"


TITLES: Final[Mapping[RuleKind, str]] = {
    RuleKind.WARNINGS: "预警规则",
    RuleKind.LADDER: "渐进式执法阶段",
    RuleKind.MEASURES: "失信惩戒措施清单",
    RuleKind.REPAIR: "信用修复办理时限",
    RuleKind.REVIEW: "人工复核时限",
    RuleKind.LISTING: "名录名单列入情形",
}
FILES: Final[Mapping[RuleKind, Path]] = {
    RuleKind.WARNINGS: warning.FILE,
    RuleKind.LADDER: ladder.FILE,
    RuleKind.MEASURES: measures.FILE,
    RuleKind.REPAIR: repair.FILE,
    RuleKind.REVIEW: review.FILE,
    RuleKind.LISTING: listing.FILE,
}
_MODELS: Final[Mapping[RuleKind, type[BaseModel]]] = {
    RuleKind.WARNINGS: Book,
    RuleKind.LADDER: Ladder,
    RuleKind.MEASURES: Measures,
    RuleKind.REPAIR: Procedure,
    RuleKind.REVIEW: Terms,
    RuleKind.LISTING: Listings,
}
_STEPS: Final = frozenset({"push", "accept", "decide", "synchronise", "objection"})


def read(
    kind: RuleKind,
    content: str,
    source: str | None = None,
    *,
    contracts: Mapping[str, Contract] = CONTRACTS,
) -> BaseModel:
    """Return rules from their text; :class:`ConfigError` with ``file:line`` where they are wrong.

    ``contracts`` are the tables that triggers of measures may name.
    """
    document = yaml.parse(content, source or FILES[kind].name)
    made = document.check(_MODELS[kind])
    if isinstance(made, Measures):
        _check_triggers(made, document, contracts)
    if isinstance(made, Procedure) and (lacking := sorted(_STEPS - made.steps.keys())):
        raise document.error(("steps",), f"missing {', '.join(lacking)}; every step has its days")
    return made


def check_file(path: Path, *, contracts: Mapping[str, Contract] = CONTRACTS) -> RuleKind | None:
    """Check a file of rules and return what it is; ``None`` for those of publicity or of reports.

    Raises :class:`ConfigError` with ``file:line`` where it is wrong, or no file of rules.
    """
    document = yaml.read(path)
    keys = set(document.data) if isinstance(document.data, dict) else set[str | int]()
    marks: dict[str, RuleKind | type[BaseModel]] = {
        "levels": RuleKind.WARNINGS,
        "stages": RuleKind.LADDER,
        "measures": RuleKind.MEASURES,
        "bar_months": RuleKind.REPAIR,
        "days_certainty": RuleKind.REVIEW,
        "lists": RuleKind.LISTING,
        "severities": PublicityRules,
        "domains": report.Outlines,
    }
    for mark, kind in marks.items():
        if mark in keys:
            if not isinstance(kind, RuleKind):
                document.check(kind)
                return None
            read(kind, path.read_text("utf-8-sig"), str(path), contracts=contracts)
            return kind
    raise ConfigError(
        f"{path}:1: no file of rules: one has a key of {', '.join(marks)} "
        f"(models/supervision has {', '.join(one.name for one in FILES.values())})"
    )


def check_all(contracts: Mapping[str, Contract] = CONTRACTS) -> int:
    """Check every file of rules that comes with the package; return how many there are."""
    paths = (*FILES.values(), DEFAULT_RULES, report.FILE)
    for path in paths:
        check_file(path, contracts=contracts)
    return len(paths)


def refuse_gap(made: BaseModel, effective_from: date) -> None:
    """Raise :class:`ConfigError` for rules that do not hold on the day from which they are used."""
    if isinstance(made, Dated) and not made.in_force(effective_from):
        end = made.effective_to or "open"
        raise ConfigError(
            f"the rules hold from {made.effective_from} (to: {end}) and would be used from "
            f"{effective_from}: on that day nothing would hold; correct one of the dates"
        )


def _check_triggers(
    made: Measures, document: yaml.Document, contracts: Mapping[str, Contract]
) -> None:
    for name, trigger in made.triggers.items():
        place = ("triggers", name)
        contract = contracts.get(trigger.table)
        if contract is None:
            hint = yaml.nearest(trigger.table, contracts)
            raise document.error((*place, "table"), f"no table '{trigger.table}'{hint}")
        for problem in parse(trigger.where).problems(contract):
            raise document.error((*place, "where"), problem)
