"""Small worlds to import: a folder of files, a mapping, a lake."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from models.codes.uscc import make_uscc
from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from models.records.lake import Lake
from training.sources.mapping import Mapping, load_mapping
from training.sources.run import Tally, import_mapping

KEY = b"a key for tests, long enough"
A, B, C, D = (
    make_uscc(kind, "210102", body=f"MA0{n:05d}")
    for n, kind in enumerate(("91", "91", "92", "91"), start=1)
)
NAMES = {A: "沈阳和平机械有限公司", B: "大连星海食品有限公司", C: "鞍山立山钢材商行"}

REGISTER = """
  - id: register
    target: subject
    files: [register.csv]
    known_at: {on: 2020-01-01}
"""
PENALTY = """
  - id: penalty
    target: penalty
    files: ["penalty*.csv"]
    constants: {authority: 沈阳市市场监督管理局}
    known_at: {after: happened_on, days: 1}
"""
HEAD = "处罚决定书文号,统一社会信用代码,行政相对人名称,处罚决定日期,处罚内容,罚款金额\n"


@dataclass(frozen=True)
class World:
    """A folder with source files and a mapping, and the lake they go to."""

    folder: Path

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file; text as UTF-8."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def mapping(self, text: str) -> Mapping:
        """Write and load a mapping."""
        return load_mapping(self.write("mapping.yaml", textwrap.dedent(text)))

    @property
    def lake(self) -> Lake:
        """Open the lake anew."""
        return Lake.open(self.folder / "lake", buckets=2)

    def run(self, text: str, *, person_key: bytes | None = KEY) -> dict[str, Tally]:
        """Import a mapping and return the tallies by source."""
        return self.run_mapping(self.mapping(text), person_key=person_key)

    def run_mapping(self, mapping: Mapping, *, person_key: bytes | None = KEY) -> dict[str, Tally]:
        """Import a loaded mapping and return the tallies by source."""
        tallies = import_mapping(mapping, self.lake, person_key=person_key)
        for tally in tallies:
            counted = tally.filtered + tally.collapsed + tally.accepted + tally.quarantined
            assert tally.rows_in == counted, tally
        return {tally.source: tally for tally in tallies}

    def table(self, name: str) -> pl.DataFrame:
        """Return a whole table of the lake, by source reference."""
        frame = self.lake.scan(name).collect()
        return frame.sort("source_ref") if "source_ref" in frame.columns else frame

    def refused(self) -> pl.DataFrame:
        """Return the quarantine by file, line, rule and column."""
        if QUARANTINE not in self.lake.tables():
            return pl.DataFrame(schema={"rule": pl.String, "line": pl.Int64})
        return self.table(QUARANTINE).sort("file", "line", "rule", "column")

    def rules(self) -> list[tuple[int, str]]:
        """Return (line, rule) of the quarantine."""
        return list(self.refused().select("line", "rule").iter_rows())

    def versions(self) -> dict[str, int]:
        """Return the versions of the tables whose rows are facts, not runs."""
        return {t: v for t, v in self.lake.versions().items() if t != IMPORT_RUN}


def mapping(*sources: str) -> str:
    """Return the text of a mapping of these sources."""
    return "sources:" + "".join(sources)


def registered(world: World) -> None:
    """Write the register of A, B and C."""
    rows = "".join(f"{code},{name},2015-03-01\n" for code, name in NAMES.items())
    world.write("register.csv", "统一社会信用代码,企业名称,成立日期\n" + rows)


def penalties(*rows: str) -> str:
    """Return a CSV of penalties."""
    return HEAD + "".join(f"{row}\n" for row in rows)


def row(number: int | str, code: str = A, day: str = "2024-01-05", fine: object = 2000) -> str:
    """Return one penalty."""
    return f"沈罚{number}号,{code},{NAMES.get(code, '')},{day},罚款{fine}元,{fine}"
