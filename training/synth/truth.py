"""Ground truth: what really is the case, for tests and evaluation only.

It lies in a folder of its own beside the departments' files, which no mapping names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl

from models.errors import ConfigError
from training.synth.arrays import Ints, days, texts
from training.synth.chunk import Chunk
from training.synth.grammar import grammar
from training.synth.risk import GRADES

FOLDER: Final = "truth"
Table = Literal["latent_risk", "outcomes", "dirt", "leaves", "planted"]

README: Final = """# 地面真值：只供测试与评估读取，任何导入、训练或服务代码都不得引用。
latent_risk-*.parquet  subject_id, on（季末）, risk（潜在风险，标准差）, grade（真实等级）
outcomes-*.parquet     subject_id, month（月初）, probability（发现问题的概率）, fails（会否发现）
dirt-*.parquet         table, file, line（文件行号；Parquet 为行序，从 1 起）, rule：注入的脏数据
leaves-*.parquet       table, document_number, authority_code, leaf（违法行为分类叶）
planted-*.parquet      kind, subject_id, case, from, until：预埋的行为及起止
                       bid_ring（围标团伙，case 为团伙号）、fundraising（非法集资）、
                       medical_fraud（骗取医保基金）
"""


def read(out: Path, table: Table) -> pl.LazyFrame:
    """Return a truth table of the province in ``out``.

    Raises:
        ConfigError: there is no truth in ``out``.
    """
    if not (out / FOLDER).is_dir():
        raise ConfigError(
            f"{out}: holds no {FOLDER}/ folder; make the province with `xinjian data synth --out`"
        )
    return pl.scan_parquet(out / FOLDER / f"{table}-*.parquet")


def write(
    chunk: Chunk, *, folder: Path, leaves: pl.DataFrame, dirt: pl.DataFrame, planted: pl.DataFrame
) -> None:
    """Write one chunk's truth."""
    tables = {
        "latent_risk": latent_risk(chunk),
        "outcomes": outcomes(chunk),
        "leaves": leaves,
        "dirt": dirt,
        "planted": planted,
    }
    for name, frame in tables.items():
        path = folder / f"{name}-{chunk.number:04d}.parquet"
        frame.rechunk().write_parquet(path, compression="zstd", compression_level=3)


def latent_risk(chunk: Chunk) -> pl.DataFrame:
    """Return the risk and grade of every subject at the end of every quarter it was there."""
    months = np.flatnonzero(chunk.clock.month % 3 == 0)
    cells = np.argwhere(chunk.life.active[:, months])
    subject, month = cells[:, 0], months[cells[:, 1]]
    return pl.DataFrame(
        {
            "subject_id": chunk.people.uscc.gather(pl.Series(subject)),
            "on": days(chunk.clock.first[month + 1] - 1),
            "risk": chunk.risk.latent[subject, month],
            "grade": texts(list(GRADES), chunk.risk.grade[subject, month]),
        }
    ).cast({"risk": pl.Float32})


def outcomes(chunk: Chunk) -> pl.DataFrame:
    """Return what an inspection would find, for every subject and month it was there."""
    subject, month = np.nonzero(chunk.life.active)
    return pl.DataFrame(
        {
            "subject_id": chunk.people.uscc.gather(pl.Series(subject)),
            "month": days(chunk.clock.first[month]),
            "probability": chunk.risk.fail[subject, month],
            "fails": chunk.risk.outcome[subject, month],
        }
    ).cast({"probability": pl.Float32})


def leaves_of(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the true leaf of every document of ``frame`` that has one."""
    told = frame.filter(pl.col("_leaf") >= 0)
    return told.select(
        pl.lit(table).alias("table"),
        "document_number",
        "authority_code",
        texts(list(grammar().leaves), told["_leaf"].to_numpy()).alias("leaf"),
    )


def spells(
    chunk: Chunk,
    kind: str,
    subject: Ints,
    months: tuple[Ints, Ints],
    *,
    case: pl.Series | None = None,
) -> pl.DataFrame:
    """Return who does what from the first to the last of ``months``.

    ``case`` is the number that those who do it together share; null where each is alone.
    """
    first, last = months
    alone = pl.Series([None] * len(subject), dtype=pl.String)
    return pl.DataFrame(
        {
            "kind": pl.Series([kind] * len(subject), dtype=pl.String),
            "subject_id": chunk.people.uscc.gather(pl.Series(subject)),
            "case": alone if case is None else case,
            "from": days(chunk.clock.first[first]),
            "until": days(chunk.clock.first[last + 1] - 1),
        }
    )
