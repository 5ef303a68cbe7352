from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.records.bookkeeping import IMPORT_RUN, QUARANTINE
from training.quality import Scope, measure_lake
from training.quality import report as report_module
from training.quality.measurement import Tables
from training.quality.report import embed, render

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Make = Callable[..., pl.LazyFrame]
LakeOf = Callable[[Mapping[str, pl.LazyFrame]], Tables]

EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>&\u2028'\""
MADE_AT = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


class Elements(HTMLParser):
    """Collects what a page has: tags, and addresses that would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.data = ""
        self._in_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.fetched += [v or "" for k, v in attrs if k in {"src", "href", "srcset", "action"}]
        self._in_data = tag == "script" and named.get("id") == "data"

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._in_data = False

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


@given(
    st.recursive(st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_embedded_data_can_neither_open_nor_close_a_tag(value: object) -> None:
    text = embed(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_the_page_stands_alone(province: Tables) -> None:
    page = render(measure_lake(province), made_at=MADE_AT)
    elements = parsed(page)
    assert elements.fetched == []
    assert elements.tags.count("script") == 2
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "2026-01-05 09:00" in page


def test_the_page_is_the_same_for_the_same_lake(province: Tables) -> None:
    first, second = (render(measure_lake(province), made_at=MADE_AT) for _ in range(2))
    assert first == second


def test_an_empty_lake_has_a_page(lake_of: LakeOf) -> None:
    page = render(measure_lake(lake_of({})))
    assert "没有报送数据" in page
    assert json.loads(parsed(page).data)["cells"] == []


def test_the_scope_is_on_the_page(province: Tables) -> None:
    scope = Scope(tables=("penalty",), regions=("210100",), since="2025-02", until="2025-03")
    page = render(measure_lake(province, scope))
    assert "2025-02 至 2025-03" in page
    assert "数据表 行政处罚" in page


def test_beyond_the_limit_small_authorities_are_counted_together(
    monkeypatch: pytest.MonkeyPatch, province: Tables
) -> None:
    quality = measure_lake(province)
    whole = json.loads(parsed(render(quality)).data)
    monkeypatch.setattr(report_module, "MOST_CELLS", 120)
    page = render(quality)
    folded = json.loads(parsed(page).data)
    assert report_module.OTHERS in folded["authorities"]
    assert len(folded["authorities"]) < len(whole["authorities"])
    assert "此页未单列" in page
    for place in range(4, 4 + len(whole["counts"])):
        assert sum(c[place] for c in folded["cells"]) == sum(c[place] for c in whole["cells"])


def by_region(data: dict[str, list[list[int]]]) -> dict[object, list[int]]:
    """Return the sums of all counts per region, by its title."""
    sums: dict[object, list[int]] = {}
    for cell in data["cells"]:
        held = sums.setdefault(data["regions"][cell[3]], [0] * len(data["counts"]))
        sums[data["regions"][cell[3]]] = [a + b for a, b in zip(held, cell[4:], strict=True)]
    return sums


def test_counted_together_the_regions_stay_and_the_worst_are_named(
    monkeypatch: pytest.MonkeyPatch, province: Tables
) -> None:
    quality = measure_lake(province)
    whole = json.loads(parsed(render(quality)).data)
    assert whole["others"] is None
    monkeypatch.setattr(report_module, "MOST_CELLS", 1)
    folded = json.loads(parsed(render(quality)).data)
    assert folded["authorities"][folded["others"]] == report_module.OTHERS
    assert by_region(folded) == by_region(whole)
    reported = dict(quality.by("region").select("region", "reported").iter_rows())
    shown = {str(t)[-6:]: sums[0] + sums[1] for t, sums in by_region(folded).items()}
    assert {c: n for c, n in reported.items() if c} == {
        c: n for c, n in shown.items() if c in reported
    }
    assert set(quality.worst()["authority"]) <= set(folded["authorities"])


@dataclass
class Opened:
    """A page in a browser, and what went wrong in it."""

    page: Page
    problems: list[str] = field(default_factory=list[str])

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Generator[Callable[[str], Opened]]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    made: list[Opened] = []

    def run(text: str) -> Opened:
        file = tmp_path / "quality.html"
        file.write_text(text, encoding="utf-8")
        opened = Opened(context.new_page())
        page = opened.page
        page.on("console", lambda message: opened.problems.append(message.text))
        page.on("pageerror", lambda error: opened.problems.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url == file.as_uri()
                else opened.problems.append(f"asked for {asked.url}")
            ),
        )
        page.goto(file.as_uri())
        made.append(opened)
        return opened

    yield run
    problems = [problem for opened in made for problem in opened.problems]
    context.close()
    assert problems == []


def test_the_line_and_the_months_are_drawn(show: Callable[[str], Opened], province: Tables) -> None:
    quality = measure_lake(province)
    opened = show(render(quality))
    line = opened.page.locator("#chart-months .target-line")
    assert line.count() == 1
    assert opened.page.locator("#chart-months .target-words").text_content() == "99 % 目标线"
    top = float(line.get_attribute("y1") or "nan")
    dots = opened.page.locator("#chart-months .dot")
    assert dots.count() == quality.by("month").height
    for place in range(dots.count()):
        below = "short" in (dots.nth(place).get_attribute("class") or "")
        assert (float(dots.nth(place).get_attribute("cy") or "nan") > top) == below


def test_filters_agree_with_the_measured_cells(
    show: Callable[[str], Opened], province: Tables
) -> None:
    quality = measure_lake(province)
    opened = show(render(quality))
    page = opened.page
    page.locator('#chart-months [data-month="2025-05"]').click()
    page.locator("#filter-table").select_option(label="行政处罚")
    page.locator("#filter-authority").fill("大连市生态环境局")
    page.locator("#filter-authority").press("Enter")
    page.locator("#filter-authority").blur()
    cells = quality.cells.filter(
        pl.col("month") == "2025-05",
        pl.col("table") == "penalty",
        pl.col("authority") == "大连市生态环境局",
    )
    accepted, rejected = (int(cells[c].sum()) for c in ("accepted", "rejected"))
    assert opened.text('[data-tile="reported"]') == str(accepted + rejected)
    assert opened.text('[data-tile="accepted"]') == str(accepted)
    assert "大连市生态环境局" in opened.text("#filter-words")
    page.locator("#reset").click()
    assert opened.text('[data-tile="reported"]') == f"{quality.totals.reported:,}"
    assert opened.text("#filter-words") == ""


def test_a_click_on_a_row_goes_one_level_deeper(
    show: Callable[[str], Opened], province: Tables
) -> None:
    quality = measure_lake(province)
    opened = show(render(quality))
    page = opened.page
    rows = page.locator("#drill-table tbody tr")
    worst = quality.worst()
    assert rows.first.locator(".name").inner_text() == worst["authority"][0]
    rows.first.locator("button").click()
    assert page.locator('[data-group="1"]').get_attribute("aria-selected") == "true"
    assert opened.text('[data-tile="reported"]') == f"{worst['reported'][0]:,}"
    hits = quality.rules.filter(pl.col("authority") == worst["authority"][0])
    shown = page.locator("[data-rows]").all_inner_texts()
    assert sum(int(text.replace(",", "")) for text in shown) == int(hits["rows"].sum())
    rows.first.locator("button").click()
    assert page.locator('[data-group="0"]').get_attribute("aria-selected") == "true"


def test_the_sum_of_the_others_is_last_and_unranked(
    monkeypatch: pytest.MonkeyPatch, show: Callable[[str], Opened], province: Tables
) -> None:
    monkeypatch.setattr(report_module, "MOST_CELLS", 1)
    page = show(render(measure_lake(province))).page
    for _ in range(3):
        page.locator("#next").click()
        last = page.locator("#drill-table tbody tr").last
        assert last.locator(".name").inner_text() == report_module.OTHERS
        assert last.locator("td").first.inner_text() == ""
        page.locator("#drill-table th button", has_text="报送").click()


def test_a_rule_says_how_many_rows_it_refused_and_how_many_it_only_noted(
    show: Callable[[str], Opened], records: Make, quarantine: Make, lake_of: LakeOf
) -> None:
    rows = [{"findings": ["V02"], "authority": a} for a in ("甲局", "甲局", "乙局")]
    lake = lake_of({"penalty": records("penalty", rows), QUARANTINE: quarantine([{}])})
    opened = show(render(measure_lake(lake)))
    rule = opened.page.locator("[data-rule]").first
    assert rule.locator(".badges").inner_text().split() == ["隔离", "1", "提示", "3"]
    opened.page.locator("#filter-authority").fill("乙局")
    opened.page.locator("#filter-authority").blur()
    assert rule.locator(".badges").inner_text().split() == ["提示", "1"]


def test_pages_search_and_sort(show: Callable[[str], Opened], province: Tables) -> None:
    opened = show(render(measure_lake(province)))
    page = opened.page
    rows = page.locator("#drill-table tbody tr")
    assert rows.count() == 20
    page.locator("#next").click()
    assert rows.count() == 5
    page.locator("#drill-search").fill("沈阳市")
    assert rows.count() == 4
    page.locator("#drill-table th button", has_text="报送").click()
    counts = page.locator("#drill-table tbody td:nth-child(3)").all_inner_texts()
    assert counts == sorted(counts, key=lambda text: -int(text.replace(",", "")))


def test_five_hundred_authorities_and_many_months(
    show: Callable[[str], Opened], records: Make, lake_of: LakeOf, at: Callable[..., datetime]
) -> None:
    rows = [
        {"authority": f"第{n}局", "known_at": at(2016 + month // 12, 1 + month % 12, 9)}
        for n in range(500)
        for month in range(0, 120, 7)
    ]
    opened = show(render(measure_lake(lake_of({"penalty": records("penalty", rows)}))))
    assert "共 500 行，第 1 / 25 页" in opened.text("#page")
    assert opened.page.locator("#chart-months .dot").count() <= 60


def test_data_is_inert(
    show: Callable[[str], Opened], records: Make, quarantine: Make, runs: Make, lake_of: LakeOf
) -> None:
    raw = json.dumps({"处罚内容": EVIL, EVIL: "x", "行政相对人名称": EVIL})
    lake = lake_of(
        {
            "penalty": records("penalty", [{"authority": EVIL, "findings": [EVIL]}]),
            QUARANTINE: quarantine(
                [
                    {"authority": EVIL, "value": EVIL, "file": EVIL, "raw": raw, "column": EVIL},
                    {"line": 3, "rule": EVIL, "source": EVIL, "table": EVIL},
                ]
            ),
            IMPORT_RUN: runs([{"source": EVIL, "table": EVIL, "by_code": 1}]),
        }
    )
    page = render(measure_lake(lake))
    elements = parsed(page)
    assert elements.tags.count("script") == 2
    assert "img" not in elements.tags
    opened = show(page)
    opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    opened.page.locator("#drill-table tbody button", has_text="hacked").first.click()
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator("img").count() == 0
    assert EVIL[:40] in opened.text("#filter-words")


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_runs_over_the_edge(
    width: int, show: Callable[[str], Opened], province: Tables
) -> None:
    opened = show(render(measure_lake(province)))
    opened.page.set_viewport_size({"width": width, "height": 900})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_empty_page_opens(show: Callable[[str], Opened], lake_of: LakeOf) -> None:
    opened = show(render(measure_lake(lake_of({}))))
    assert "没有数据" in opened.text("#chart-months")
    assert opened.text("#headline-rate") == "—"
