"""Public tables of labelled texts, in the form that fitting takes.

The files are not part of the project; where each comes from is written beside its reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, cast

import numpy as np
import polars as pl

from models.errors import SourceError
from training.text.corpus import Ints, read_table

_SEED: Final = 42


def complaints(folder: Path) -> pl.DataFrame:
    """Read citizens' messages and the department class that should handle each.

    The competition data of 泰迪杯 2020 C as kept by the public repository jesHrz/tipdm: 9,210
    messages with stop words removed, seven classes, and a fixed split without exact duplicates.

    Returns:
        text, department, split.
    """
    messages = read_table(_file(folder, "gov_message_9210_segmented.parquet"))
    split = read_table(_file(folder, "split_80_20_seed42_dedup.csv"))
    return messages.join(split, on="row", maintain_order="left").select(
        "text", department="label", split="split"
    )


def liability(folder: Path) -> pl.DataFrame:
    """Read clauses on liability and the department that punishes, split by law.

    Official texts as kept by the public repositories LawRefBook/Laws and ImCa0/just-laws; the
    department was found by pattern, so it is a weak label. Clauses with exactly one department.
    A random split would leak clauses that one law copies from another's version.

    Returns:
        text (the violation alone), department, group (the law), split.
    """
    from sklearn.model_selection import GroupShuffleSplit

    clauses = read_table(_file(folder, "law_liability.parquet")).filter(pl.col("n_dept") == 1)
    groups = clauses["law"].to_numpy()
    splitter = GroupShuffleSplit(1, test_size=0.2, random_state=_SEED)
    split_by = cast("Callable[..., Iterator[tuple[Ints, Ints]]]", getattr(splitter, "split"))  # noqa: B009
    _, test = next(split_by(groups, groups=groups))
    tested = np.zeros(clauses.height, dtype=np.bool_)
    tested[test] = True
    split = pl.Series(tested).replace_strict({True: "test", False: "train"}, return_dtype=pl.String)
    return clauses.select(text="violation", department="dept_labels", group="law").with_columns(
        split=split
    )


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise SourceError(f"{path}: no such file; name the folder that holds {name}")
    return path
