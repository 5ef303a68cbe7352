"""Laws and their articles: look a cited article up, propose articles for a text that cites none.

The articles are reference data of the installation, not of the project: a Parquet file with the
columns of :data:`SCHEMA`, and beside it the index of their words. Several dated versions of one law
may stand in it; the one that counts on a day is the latest that was in force by then: from its
publication, or from the later day that its own last article names (本法自…起施行).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.errors import ConfigError
from models.records.amounts import parse_amount
from models.text import titles
from models.text.citations import Citation, article_number, find_citations
from models.text.retrieval import Index

SCHEMA: Final = pl.Schema(
    {
        "law": pl.String(),
        "date": pl.Date(),
        "article": pl.String(),
        "text": pl.String(),
        "region": pl.String(),
    }
)
"""``law`` the full title, ``date`` of its publication (null where unknown), ``article`` as in
第八十三条 or 第四十二条之一, ``text`` of the article without its number, ``region`` the six-digit
code of the place whose law it is (null for the nation's; may be absent: then by the title)."""

LIABLE: Final = r"罚款|吊销|没收|责令(?:限期)?(?:改正|停|关闭)|给予(?:警告|处罚|处分)|依法追究"
"""What the articles on liability say."""
_ITEM_NUMBER: Final = re.compile(r"[（(]\s?([一二三四五六七八九十]{1,4})\s?[）)]")
_ITEM: Final = re.compile(rf"\s*{_ITEM_NUMBER.pattern}")
JUDICIAL: Final = r"^最高人民(?:法院|检察院)|^中华人民共和国刑法"
"""Titles of what courts go by: cited, it is linked, but never proposed to an authority."""
PREFERRED: Final = 1.02
"""By how much an article on liability goes before one that is as near: it decides ties only."""

IN_FORCE: Final = r"本\p{Han}{1,4}自\s*([0-9]{4}年[0-9]{1,2}月[0-9]{1,2}日)起施行"
"""What the last article says of the day; of an amended law it may be that of the first version."""

Status: TypeAlias = Literal[
    "linked", "later_version", "no_such_part", "law_only", "no_such_article", "unknown_law"
]


@dataclass(frozen=True, slots=True)
class Article:
    """One article of a law in one of its versions."""

    law: str
    date: date | None
    article: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A citation and the real article behind it.

    ``status``: ``linked``; ``later_version``: only versions in force after the day are known, and
    the article given, of the first of these, may have had another number then; ``no_such_part``:
    the article given lacks the cited paragraph or item, so another version of the law was meant;
    ``law_only`` where no article is named; ``no_such_article``: the law is known and has none of
    that number; ``unknown_law``.
    """

    citation: Citation
    status: Status
    law: str | None
    article: Article | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An article that may apply to a text, with its BM25 score (comparable within one text)."""

    article: Article
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Laws:
    """The laws of an installation, with an index of their words."""

    articles: pl.DataFrame
    """Columns of :data:`SCHEMA`, sorted by law and date."""
    _numbers: tuple[str, ...]
    _since: pl.Series
    """From when each is in force, null where unknown."""
    _spans: Mapping[str, tuple[int, int]]
    _titles: frozenset[str]
    _weight: NDArray[np.float64]
    """0 for what is never proposed, more than 1 for liability."""
    _index: Index

    @classmethod
    def of(cls, articles: pl.DataFrame) -> Laws:
        """Index articles, columns as :data:`SCHEMA`; :class:`ConfigError` where one is missing."""
        rows = _arranged(articles)
        return cls._with(rows, Index.of(rows["text"].to_list()))

    @classmethod
    def read(cls, path: Path) -> Laws:
        """Read what :meth:`save` wrote, or any Parquet file of articles.

        Where the index is not beside it, it is made (some seconds).

        Raises:
            ConfigError: The file is not there, or is of another form, or the index is not its own.
        """
        if not path.is_file():
            raise ConfigError(
                f"{path} is not there; bring the laws in with xinjian text laws FILE.parquet"
            )
        try:
            rows = _arranged(pl.read_parquet(path))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise ConfigError(
                f"{path} cannot be read as laws ({error}); bring them in again"
            ) from error
        index = index_beside(path)
        if not index.is_file():
            return cls.of(rows)
        return cls._with(rows, Index.load(index, of=_digest(path)))

    def save(self, path: Path) -> None:
        """Write articles and index, for :meth:`read`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        index_beside(path).unlink(missing_ok=True)
        self.articles.write_parquet(path)
        self._index.save(index_beside(path), of=_digest(path))

    @classmethod
    def _with(cls, rows: pl.DataFrame, index: Index) -> Laws:
        numbers = rows["article"].unique()
        plain = {text: _plain_article(text) for text in cast("list[str]", numbers.to_list())}
        runs = (
            rows.with_row_index("_at")
            .group_by("law")
            .agg(first=pl.col("_at").min(), last=pl.col("_at").max())
        )
        spans = {law: (first, last + 1) for law, first, last in runs.iter_rows()}
        newest = pl.col("date").eq_missing(pl.col("date").max().over("law"))
        liable = pl.when(pl.col("text").str.contains(LIABLE)).then(PREFERRED).otherwise(1.0)
        apt = newest & ~pl.col("law").str.contains(JUDICIAL)
        weight = rows.select(pl.when(apt).then(liable).otherwise(0.0)).to_series().to_numpy()
        return cls(
            rows,
            tuple(plain[text] for text in cast("list[str]", rows["article"].to_list())),
            _in_force(rows),
            spans,
            frozenset(spans),
            weight,
            index,
        )

    def resolve(self, name: str) -> str | None:
        """Return the full title behind a cited name; see :func:`models.text.titles.resolve`."""
        return titles.resolve(name, self._titles)

    def article(self, law: str, article: str, *, on: date) -> Article | None:
        """Return an article of a full title as in force on a day, else its first version."""
        found = self._find(law, _plain_article(article), on)
        return None if found is None else self._at(found[0])

    def _find(self, law: str, key: str, on: date) -> tuple[int, bool] | None:
        """Return the row of an article, and whether it was in force on the day."""
        first, end = self._spans.get(law, (0, 0))
        places = [place for place in range(first, end) if self._numbers[place] == key]
        past = [place for place in places if (day := self._since[place]) is None or day <= on]
        if past:
            return past[-1], True
        return (places[0], False) if places else None

    def link(self, text: str | None, *, on: date) -> tuple[Link, ...]:
        """Return each citation of a text with the article in force on a day behind it."""
        return tuple(self._link(citation, on) for citation in find_citations(text))

    def propose(
        self,
        text: str,
        *,
        top: int = 5,
        among: Iterable[str] | None = None,
        region: str | None = None,
    ) -> tuple[Proposal, ...]:
        """Return the articles whose words are nearest to a text (BM25 over character pairs).

        ``among`` narrows to some full titles; ``region`` (six digits) leaves out the laws of
        places that do not contain it. Only the latest version of a law is proposed, nothing that
        courts alone go by, and of two that are as near the article on liability first.
        """
        scores = self._index.scores(text) * self._weight
        if among is not None:
            scores[~self.articles["law"].is_in(list(among)).to_numpy()] = 0
        if region is not None:
            place = self.articles["region"]
            scores[~(place.is_null() | place.is_in(titles.around(region))).to_numpy()] = 0
        best = np.argsort(-scores, kind="stable")[:top]
        return tuple(Proposal(self._at(int(p)), float(scores[p])) for p in best if scores[p] > 0)

    def _at(self, place: int) -> Article:
        return Article(*self.articles.select("law", "date", "article", "text").row(place))

    def _link(self, citation: Citation, on: date) -> Link:
        law = None if citation.law is None else self.resolve(citation.law)
        if law is None:
            return Link(citation, "unknown_law", None, None)
        if citation.article is None:
            return Link(citation, "law_only", law, None)
        found = self._find(law, _key(citation.article, citation.branch), on)
        if found is None:
            return Link(citation, "no_such_article", law, None)
        article = self._at(found[0])
        if not has_part(article.text, paragraph=citation.paragraph, item=citation.item):
            return Link(citation, "no_such_part", law, article)
        return Link(citation, "linked" if found[1] else "later_version", law, article)


def has_part(text: str, *, paragraph: int | None, item: int | None) -> bool:
    """Tell whether an article has a paragraph (款, a line) and an item (项, numbered in brackets).

    A text on one line may have lost its breaks: then only a first paragraph is certain, and any
    other is denied, as is an item where none is numbered.
    """
    lines = [line for line in text.splitlines() if line.strip() and not _ITEM.match(line)]
    if paragraph is not None and paragraph > max(len(lines), 1):
        return False
    numbers = {int(parse_amount(found) or 0) for found in _ITEM_NUMBER.findall(text)}
    return item is None or item in numbers


def index_beside(path: Path) -> Path:
    """Return where the index of a file of articles lies."""
    return path.with_suffix(".index.npz")


def _arranged(articles: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that name law, article and text, each version once, in order."""
    given = articles
    if "region" not in given.columns and "law" in given.columns:
        place = {law: titles.place_of(law) for law in given["law"].drop_nulls().unique().to_list()}
        given = given.with_columns(
            region=pl.col("law").replace_strict(place, default=None, return_dtype=pl.String)
        )
    needed = [name for name in SCHEMA if name != "region"]
    if missing := [name for name in needed if name not in given.columns]:
        raise ConfigError(
            f"the table of laws lacks {', '.join(missing)}; it needs {', '.join(needed)}, and may "
            "have region"
        )
    try:
        if given.schema["date"] == pl.String():
            day = pl.when(pl.col("date") != "").then(pl.col("date"))
            given = given.with_columns(date=day.str.to_date("%Y-%m-%d"))
        rows = given.select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"the table of laws has a value of another kind: {reason}") from error
    rows = rows.drop_nulls(["law", "article", "text"])
    rows = rows.unique(["law", "date", "article"], keep="first", maintain_order=True)
    return rows.sort("law", "date", nulls_last=False, maintain_order=True)


def _in_force(rows: pl.DataFrame) -> pl.Series:
    """Return from when each article is in force: what its version says, else its publication."""
    said = pl.col("text").str.extract(IN_FORCE).str.to_date("%Y年%m月%d日", strict=False)
    said = said.max().over("law", "date")
    soon = said < pl.col("date").dt.offset_by("2y")  # 修正 keeps the first day, a typo may be ahead
    return rows.select(
        pl.when(soon).then(pl.max_horizontal("date", said)).otherwise("date")
    ).to_series()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(number: int, branch: int | None) -> str:
    return f"{number}" if branch is None else f"{number}-{branch}"


def _plain_article(article: str) -> str:
    """Return 第四十二条之一 as ``42-1``; what is no article's number stays as it is."""
    found = article_number(article)
    return article.strip() if found is None else _key(*found)
