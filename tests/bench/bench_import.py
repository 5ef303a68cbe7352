"""Import against a bare Polars read and write of the same file, in one run.

    python tests/bench/bench_import.py [ROWS]

Each line imports one file into a new lake: read, mapped, identified, checked, kept. The floor reads
the same file and writes it as Parquet. Medians; a ratio is import over floor of the same round.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from models.codes.uscc import make_uscc, make_uscc_expr
from models.records.lake import Lake
from training.sources.mapping import load_mapping
from training.sources.run import import_mapping

ROUNDS = 3
ORGAN = make_uscc("11", "210100", body="YY000001")

RESULT = "{result: {from: 检查结果, map: {合格: pass, 不合格: fail}}}"
MAPPING = """\
sources:
  - id: source
    target: {table}
    files: [{file}]
    strict: {strict}
    columns: {columns}
    known_at: {{from: 报送日期}}
"""


def subjects(rows: int, rng: np.random.Generator) -> pl.Series:
    """Return subject codes, about ten rows each."""
    bodies = pl.DataFrame({"body": [f"YY{n:06d}" for n in range(max(rows // 10, 1))]})
    codes = bodies.select(make_uscc_expr(pl.lit("91"), pl.lit("210100"), body="body"))
    return codes.to_series().gather(rng.integers(0, len(bodies), rows))


def days(rows: int, rng: np.random.Generator) -> pl.Series:
    """Return days of eight years."""
    since = rng.integers(0, 365 * 8, rows).astype("timedelta64[D]")
    return pl.Series(np.datetime64("2018-01-01") + since)


def inspections(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return inspections as a department sends them: 8 narrow columns."""
    day = days(rows, rng)
    failed = pl.Series(rng.random(rows) < 0.05)
    return pl.DataFrame(
        {
            "检查单号": [f"检{n:08d}" for n in range(rows)],
            "统一社会信用代码": subjects(rows, rng),
            "行政相对人名称": pl.repeat("沈阳某某商贸有限公司", rows, eager=True),
            "检查日期": day.dt.strftime("%Y/%m/%d"),
            "报送日期": day.dt.offset_by("5d").dt.strftime("%Y/%m/%d"),
            "检查结果": failed.replace_strict([True, False], ["不合格", "合格"]),
            "检查机关": pl.repeat("沈阳市市场监督管理局", rows, eager=True),
            "检查机关统一社会信用代码": pl.repeat(ORGAN, rows, eager=True),
        }
    )


def penalties(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    """Return penalties in the layout of the publication standard: 22 columns, long texts."""
    day = days(rows, rng)
    yuan = pl.Series(rng.integers(1, 200, rows) * 100)
    constant = {
        "CF_XDR_MC": "沈阳某某商贸有限公司",
        "CF_XDR_LB": "法人及非法人组织",
        "CF_FRDB": "某某",
        "CF_WFXW": "《食品安全法》第一百二十四条第一款第五项",
        "CF_YJ": "《中华人民共和国食品安全法》第一百二十四条第一款第五项",
        "CF_CFLB": "罚款",
        "CF_YXQ": "2099/12/31",
        "CF_CFJG": "沈阳市市场监督管理局",
        "CF_CFJGDM": ORGAN,
        "CF_SJLY": "沈阳市市场监督管理局",
        "CF_SJLYDM": ORGAN,
    }
    facts = pl.format(
        "当事人于{}销售标注生产日期已超过保质期的预包装食品{}件，货值金额{}元，现场检查时仍在货架上待售。",
        pl.Series(day.dt.strftime("%Y年%m月%d日")),
        yuan // 100,
        yuan,
    )
    varying = {
        "CF_XDR_SHXYM": subjects(rows, rng),
        "CF_WSH": pl.Series([f"沈市监处罚〔2025〕{n}号" for n in range(rows)]),
        "CF_SY": pl.select(facts).to_series(),
        "CF_NR": pl.select(pl.format("罚款人民币{}元", yuan)).to_series(),
        "CF_NR_FK": (yuan / 10_000).cast(pl.String),
        "CF_JDRQ": day.dt.strftime("%Y/%m/%d"),
        "CF_GSJZQ": day.dt.offset_by("1y").dt.strftime("%Y/%m/%d"),
        "报送日期": day.dt.offset_by("5d").dt.strftime("%Y/%m/%d"),
    }
    same = {name: pl.repeat(value, rows, eager=True) for name, value in constant.items()}
    return pl.DataFrame({**same, **varying})


def timed(work: Callable[[], object]) -> float:
    """Return the seconds ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def floor(path: Path, folder: Path) -> None:
    """Read the file and write it as Parquet, nothing else."""
    read = pl.read_csv(path, infer_schema=False) if path.suffix == ".csv" else pl.read_parquet(path)
    read.write_parquet(folder / "floor.parquet")


def measure(table: str, path: Path, rows: int, columns: str, *, strict: bool) -> str:
    """Return the line of one file."""
    mapping = path.with_suffix(f"{path.suffix}.yaml")
    text = MAPPING.format(table=table, file=path.name, strict=str(strict).lower(), columns=columns)
    mapping.write_text(text, encoding="utf-8")
    floors: list[float] = []
    imports: list[float] = []
    ratios: list[float] = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake.open(Path(folder) / "lake")
            floors.append(timed(lambda folder=folder: floor(path, Path(folder))))
            imports.append(timed(lambda lake=lake: import_mapping(load_mapping(mapping), lake)))
            assert lake.rows(table) == rows
        ratios.append(imports[-1] / floors[-1])
    floor_s, import_s, ratio = map(statistics.median, (floors, imports, ratios))
    return (
        f"| {table} {path.suffix[1:]} | {rows:,} | {path.stat().st_size / 2**20:,.0f} | "
        f"{floor_s:.2f} | {import_s:.2f} | {rows / import_s:,.0f} | {ratio:.1f} |"
    )


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(7)
    print("| file | rows | MiB | floor s | import s | import rows/s | ratio |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for table, make, share, columns, strict in (
            ("inspection", inspections, 1, RESULT, False),
            ("penalty", penalties, 3, "{}", True),
        ):
            frame = make(rows // share, rng)
            for suffix in ("csv", "parquet"):
                path = Path(folder) / f"{table}.{suffix}"
                frame.write_csv(path) if suffix == "csv" else frame.write_parquet(path)
                print(measure(table, path, len(frame), columns, strict=strict), flush=True)


if __name__ == "__main__":
    main()
