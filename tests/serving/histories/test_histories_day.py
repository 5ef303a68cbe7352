"""The simulated day of the benchmark, scaled down: no warning is lost, none comes twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.bench_supervision import Size, day


@pytest.mark.slow
def test_a_day_of_two_hours_loses_no_warning(empty_database: str, tmp_path: Path) -> None:
    size = Size(firms=200, records=3000, warnings=40, repairs=10, acknowledged=15)
    told = day(tmp_path / "home", empty_database, size)  # asserts what must hold
    assert (told["warnings raised"], told["repairs"]) == (40, 10)
    assert (told["acknowledged in time"], told["late on Tuesday"]) == (15, 25)
    assert told["warnings of other rules"] == 0
