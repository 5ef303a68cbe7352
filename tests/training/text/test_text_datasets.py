from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from models.errors import SourceError
from training.text.datasets import complaints, liability

DATA = Path(__file__).parents[3].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the public data is not here")


@needs_data
def test_messages_have_the_fixed_split() -> None:
    frame = complaints(DATA / "complaints")
    assert frame["split"].value_counts(sort=True)["count"].to_list() == [7213, 1804]
    assert frame["department"].n_unique() == 7
    assert not frame["text"].is_in(frame.filter(pl.col("split") == "test")["text"].implode()).all()


@needs_data
def test_no_law_is_on_both_sides() -> None:
    frame = liability(DATA / "laws")
    sides = {name: set(part["group"]) for (name,), part in frame.group_by("split")}
    assert not sides["train"] & sides["test"]
    assert frame.height == 6052
    assert (frame["split"] == "test").sum() == 1124


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    for read in (complaints, liability):
        with pytest.raises(SourceError, match="no such file"):
            read(tmp_path)
