"""Beijing's published penalties as labelled texts: what was done, and who decides on such things.

Made from the seven tables of the city's open-data site that tell the facts of a case (the others
give the decision alone). No label was set by hand for a text: the department is that of the
deciding authority by its name, the leaf of the taxonomy comes from words in the violation together
with the law that the decision cites. ``penalties.yaml`` holds every rule; how often they are right
was counted by reading random texts.
"""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from models.errors import SourceError
from models.text.citations import find_citations
from models.text.mask import mask
from models.text.taxonomy import taxonomy
from models.yaml import load
from training.text.corpus import read_table

RULES: Final = Path(__file__).with_name("penalties.yaml")
SINCE: Final = date(2021, 7, 1)
"""Texts decided before are learnt from, the others measured on."""
SHORTEST: Final = 4
"""Characters without which a text tells no violation."""
_ORGAN: Final = re.compile(
    r"(?:北京市)?[\u4e00-\u9fff]{2,20}?(?:局|委员会|办事处|人民政府|执法[总大]?队|税务所)"
    r"(?![（(]?集团)(?=[^\u4e00-\u9fff]|执法|接到|依法|对|于|工作|检查|移|行政|《|调查|责令|下达|立案|送达)"
)
_SELF: Final = "本机关"
_QUOTED: Final = re.compile(r"《[^《》]{2,60}》")
_DAY: Final = re.compile(r"(20[0-9]{2})\s*[-./年]\s*([0-9]{1,2})\s*[-./月]\s*([0-9]{1,2})")


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(_Frozen):
    """A table and the columns that are read of it."""

    file: str
    fact: str
    kind: str | None = None
    basis: str
    authority: str
    on: str


class DepartmentRule(_Frozen):
    """The department of the authorities whose name has a word."""

    find: Pattern
    id: str


class LeafRule(_Frozen):
    """The leaf of violations that have one of the words and for which one of the laws is cited."""

    leaf: str
    laws: Pattern
    words: Pattern


class Rules(_Frozen):
    """Which tables are read, and how their texts are labelled."""

    tables: Annotated[tuple[Table, ...], Field(min_length=1)]
    departments: tuple[DepartmentRule, ...]
    leaves: tuple[LeafRule, ...]


@cache
def rules() -> Rules:
    """Return the rules that come with the package, every leaf one of the taxonomy."""
    found = load(RULES, Rules)
    taxonomy().check(rule.leaf for rule in found.leaves)
    return found


def penalties(folder: Path, *, since: date = SINCE) -> pl.DataFrame:
    """Read the facts of real penalties with department and, where rules tell it, leaf.

    Texts are the kind of violation and its facts, personal data masked, citations and the names of
    authorities taken out, each text once. **The labels are weak**: see the head of this module.

    Split by authority and time: ``train`` was decided before ``since``; ``test`` since then by
    authorities that no text of ``train`` comes from; ``later`` since then by the others (some
    departments have one authority alone).

    Args:
        folder: Where the tables lie.
        since: First day to measure on.

    Returns:
        text, department, leaf (null where unknown), authority, on, source (the table), split.

    Raises:
        SourceError: A table is not there, or lacks a column.
    """
    rows = pl.concat([_read(folder, table) for table in rules().tables])
    labelled = _labelled(rows).filter(
        pl.col("text").str.len_chars() >= SHORTEST, pl.col("department").is_not_null()
    )
    once = labelled.sort("on", "source", "text").unique("text", keep="first", maintain_order=True)
    early = pl.col("on") < since
    known = pl.col("authority").is_in(once.filter(early)["authority"].unique().implode())
    split = pl.when(early).then(pl.lit("train")).when(known).then(pl.lit("later"))
    return once.with_columns(split=split.otherwise(pl.lit("test")))


def department_of(authority: str) -> str | None:
    """Return the department that an authority belongs to by its name; null for an unknown one."""
    found = (rule.id for rule in rules().departments if re.search(rule.find, authority))
    return next(found, None)


def leaf_of(violation: str, basis: str) -> str | None:
    """Return the one leaf that words and cited law tell; null where none or several do."""
    cited = " ".join([one.law or "" for one in find_citations(f"{basis} {violation}")])
    told = _QUOTED.sub("", violation)
    found = {
        rule.leaf
        for rule in rules().leaves
        if re.search(rule.laws, cited) and re.search(rule.words, told)
    }
    return found.pop() if len(found) == 1 else None


def shown(violation: str) -> str:
    """Return a violation as it is learnt from: masked, without citations and authorities."""
    text = mask(violation) or ""
    for one in reversed(find_citations(text)):
        text = text[: one.start] + text[one.end :]
    text = _ORGAN.sub(_SELF, _QUOTED.sub("", text))
    return " ".join(text.split()).strip(" ，,。；;:：、")


def _read(folder: Path, table: Table) -> pl.DataFrame:
    """Return violation, basis, authority, on and source of a table; rows without a day are left."""
    path = folder / table.file
    if not path.is_file():
        raise SourceError(f"{path}: no such file; name the folder that holds {table.file}")
    frame = read_table(path)
    named = [table.fact, table.basis, table.authority, table.on]
    named += [table.kind] if table.kind else []
    if missing := [name for name in named if name not in frame.columns]:
        raise SourceError(f"{path}: no column {', '.join(missing)}; it has {frame.columns}")
    parts = [pl.col(name).cast(pl.String) for name in (table.kind, table.fact) if name]
    day = pl.col(table.on).cast(pl.String).str.extract_groups(_DAY.pattern)
    return frame.select(
        violation=pl.concat_str(parts, separator="。", ignore_nulls=True),
        basis=pl.col(table.basis).cast(pl.String).fill_null(""),
        authority=pl.col(table.authority).cast(pl.String).str.strip_chars(),
        on=pl.date(
            *(day.struct.field(str(place)).cast(pl.Int32, strict=False) for place in (1, 2, 3))
        ),
        source=pl.lit(table.file.removesuffix(".parquet")),
    ).drop_nulls(["violation", "authority", "on"])


def _labelled(rows: pl.DataFrame) -> pl.DataFrame:
    """Return text, department, leaf, authority, on and source."""
    told = rows.select("violation", "basis").iter_rows()
    leaves = [leaf_of(violation, basis) for violation, basis in told]
    texts = [shown(violation) for (violation,) in rows.select("violation").iter_rows()]
    by_name = {name: department_of(name) for name in rows["authority"].unique()}
    return rows.select(
        text=pl.Series(texts, dtype=pl.String),
        department=pl.col("authority").replace_strict(by_name, return_dtype=pl.String),
        leaf=pl.Series(leaves, dtype=pl.String),
        authority="authority",
        on="on",
        source="source",
    )
