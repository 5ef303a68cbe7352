"""The commands of the pages, carried out as they stand there, in order, on a small province."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import httpx2
import openpyxl
import polars as pl
import pytest
import yaml

from serving.commands.users import opened
from serving.ledger import workers
from tests.test_readme import COMMANDS
from training.text.sheet import HEADINGS
from xinjian.cli import main
from xinjian.demo.stages import label_texts

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("restored_logging")]
SUBJECTS: Final = 6000
STAYING: Final = (["serve", "api"], ["serve", "worker"])
"""Commands that run until they are stopped."""
ENDINGS: Final[Mapping[str, set[int]]] = {"risk retrain": {0, 10, 11}, "text promote": {0, 10}}
"""Exit codes of what may lawfully end with a model that is kept, or with nothing to do."""


def of(*groups: str) -> list[list[str]]:
    """Return the commands of these groups, each once, in the order in which the pages show them."""
    once = {shlex.join(words): words for words in COMMANDS if words[0] in groups}
    return list(once.values())


def run(words: list[str]) -> None:
    assert main(words) in ENDINGS.get(" ".join(words[:2]), {0}), shlex.join(words)


@pytest.fixture(scope="module")
def province(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a home ``home`` that holds a lake, and the province it came from."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XINJIAN_HOME", str(folder / "home"))
        made = str(folder / "province")
        run(["data", "synth", f"--subjects={SUBJECTS}", "--until=2025-12-31", f"--out={made}"])
        run(["data", "import", f"{made}/mapping.yaml"])
    return folder


@pytest.fixture(autouse=True)
def home(province: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in the folder that holds the home, as the pages do."""
    monkeypatch.chdir(province)
    monkeypatch.setenv("XINJIAN_HOME", str(province / "home"))
    monkeypatch.setenv("XINJIAN_LOG_LEVEL", "error")
    return province / "home"


def other_thresholds() -> None:
    grades = {"A": {"below": 0.02, "draw": 0.01}, "B": {"below": 0.2, "draw": 0.05}}
    told = {"grades": {**grades, "C": {"below": 0.4, "draw": 0.2}, "D": {"draw": 0.5}}}
    Path("t.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")


def labelled() -> None:
    assert label_texts(Path("province"), Path("labelled.parquet"))
    texts = pl.read_parquet("labelled.parquet").with_row_index("row")
    part = pl.when(pl.col("row") % 5 == 0).then(pl.lit("test")).otherwise(pl.lit("train"))
    texts.select("text", "leaf", split=part).write_parquet("labelled.parquet")


def answered() -> None:
    """Fill the first line of the sheet in, as a person would."""
    book = openpyxl.load_workbook("ask.xlsx")
    sheet = cast("Worksheet", book.worksheets[0])
    for name, value in {"leaf": "F04", "reviewer": "审核员甲"}.items():
        sheet.cell(2, list(HEADINGS).index(name) + 1, value)
    book.save("ask.xlsx")


BEFORE: Final[Mapping[str, Callable[[], None]]] = {
    "risk grades": other_thresholds,
    "text fit": labelled,
    "text review import": answered,
}
"""What a person does before a command, by the words that it begins with."""


def test_what_is_said_of_features_models_and_texts_works(home: Path) -> None:
    for words in of("features", "risk", "text"):
        for begins, prepare in BEFORE.items():
            if shlex.join(words).startswith(begins):
                prepare()
        run(words)
    assert date(2025, 1, 1) in pl.read_parquet("f.parquet")["as_of"]
    assert list((home / "risk" / "food_safety").glob("*/card.html"))
    assert pl.read_parquet("more.parquet")["leaf"].to_list() == ["F04"]


@contextmanager
def staying(words: list[str]) -> Generator[None]:
    """Have a command run that ends when it is told to, and see that it ends well."""
    log = Path("-".join(words)).with_suffix(".log")
    with log.open("wb") as out:
        command = [sys.executable, "-m", "xinjian", *words]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, log.read_text(encoding="utf-8")


def until(holds: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/ready", timeout=5).is_success
    except httpx2.HTTPError:
        return False


def working() -> bool:
    with opened() as service, service.ledger.begin() as connection:
        return workers.silence(connection) is not None


def test_what_is_said_of_the_service_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    monkeypatch.setenv("XINJIAN_PORT", str(port))
    ending = [words for words in of("serve") if words not in STAYING]
    for words in sorted(ending, key=lambda words: words != ["serve", "migrate"]):
        run([word.replace("/backup", "backup") for word in words])
    assert list(Path("backup").rglob("manifest.json"))
    with staying(["serve", "api"]), staying(["serve", "worker"]):
        until(lambda: ready(port))
        until(working)
