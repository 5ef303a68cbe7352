from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from httpx2 import Response

from models.text.laws import Laws
from models.text.taxonomy import taxonomy
from serving.auth.roles import Role
from tests.serving import text_reader
from tests.serving.bureau import Office

LAW = "中华人民共和国食品安全法"
FOOD = f"当事人张三（电话13904123456）销售过期牛奶，违反《{LAW}》第三十四条第（十）项"


def ask(office: Office, *texts: str, **more: object) -> Response:
    body = {"texts": list(texts), **more}
    return office.client.post("/v1/texts/classify", json=body, headers=office.officer)


def read(office: Office, *texts: str, **more: object) -> list[dict[str, Any]]:
    answer = ask(office, *texts, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_a_text_is_told_what_it_is_of_and_why(office: Office) -> None:
    text_reader.place(office.service)
    (found,) = read(office, FOOD)
    assert (found["leaf"], found["abstains"], found["why"]) == ("F04", False, None)
    assert (found["top"][0]["code"], len(found["top"])) == ("F04", 3)
    assert found["probability"] == found["top"][0]["probability"] > 0.6
    leaf = taxonomy().leaf("F04")
    assert (found["department"], found["department_title"]) == ("market", "市场监督管理")
    assert found["severity"] == leaf.severity[0]
    cited = [one for one in found["basis"] if one["cited"]]
    assert (cited[0]["law"], cited[0]["article"], cited[0]["status"]) == (
        "中华人民共和国食品安全法",
        "第34条",
        "unchecked",
    )
    own = [one for one in found["basis"] if not one["cited"]]
    assert {one["law"] for one in own} == {one.law for one in leaf.basis}
    assert "过期" in found["evidence"][0]["text"]
    for piece in found["evidence"]:
        assert len(piece["text"]) == piece["end"] - piece["start"]


def test_what_is_said_back_of_a_text_has_no_person_in_it(office: Office) -> None:
    text_reader.place(office.service)
    answer = ask(office, "张三13904123456过期", "过期13904123456")
    assert "13904123456" not in answer.text
    long = ask(office, "张三13904123456" * 1000)
    assert (long.status_code, long.json()["type"]) == (422, "/problems/too-long")
    assert "13904123456" not in long.text


@pytest.mark.parametrize(
    ("text", "why"), [("没有这样的事", "低于"), ("", "没有可以识别"), ("1。", "没有")]
)
def test_what_no_model_is_sure_of_is_left_to_a_person(office: Office, text: str, why: str) -> None:
    text_reader.place(office.service)
    (found,) = read(office, text)
    assert (found["leaf"], found["abstains"]) == (None, True)
    assert why in found["why"]


def test_citations_are_checked_where_laws_were_brought_in(office: Office) -> None:
    law, day = "中华人民共和国食品安全法", date(2015, 4, 24)
    rows = {
        "law": [law],
        "date": [day],
        "article": ["第三十四条"],
        "text": ["禁止生产经营下列食品"],
    }
    Laws.of(pl.DataFrame(rows)).save(office.service.settings.home / "text" / "laws.parquet")
    text_reader.place(office.service)
    (found,) = read(office, f"过期，违反《{law}》第三十四条、第九百条", evidence=False)
    told = [(one["article"], one["status"]) for one in found["basis"] if one["cited"]]
    assert told == [("第三十四条", "linked"), ("第900条", "no_such_article")]
    assert found["evidence"] == []


def test_without_a_model_the_remedy_is_told(office: Office) -> None:
    answer = ask(office, FOOD)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/no-text-model")
    assert "promote" in answer.json()["detail"]


def test_only_texts_of_a_number_and_who_may_score_are_read(office: Office) -> None:
    text_reader.place(office.service)
    assert ask(office).status_code == 422
    assert ask(office, *["过期"] * 101).status_code == 422
    many = read(office, *["过期"] * 100)
    assert [one["evidence"] for one in many] == [[]] * 100
    asked = ask(office, *["过期"] * 11, evidence=True)
    assert (asked.status_code, asked.json()["type"]) == (422, "/problems/too-many-to-explain")
    viewer = office.as_caller(roles=[Role.VIEWER])
    body = {"texts": ["过期"]}
    assert office.client.post("/v1/texts/classify", json=body, headers=viewer).status_code == 403


def test_the_model_is_swapped_while_it_answers(office: Office) -> None:
    texts = text_reader.place(office.service)
    before = ask(office, "过期").json()
    text_reader.place(office.service, text_reader.bundle(5.0))
    after = ask(office, "过期").json()
    assert texts.live is not None
    assert after["bundle_digest"] == texts.live.named.digest != before["bundle_digest"]
    assert after["results"][0]["probability"] < before["results"][0]["probability"]


def test_the_state_of_the_model_is_told(office: Office) -> None:
    texts = text_reader.place(office.service)
    found = office.get("/v1/texts/model", office.officer).json()
    assert texts.live is not None
    assert (found["bundle_digest"], found["engine"], found["laws"]) == (
        texts.live.named.digest,
        "linear",
        0,
    )
    assert (found["loaded"], found["refused"], found["says"]) == (True, None, None)
    (texts.shelf.place / "manifest.json").write_text("{}", encoding="utf-8")
    texts.refresh()
    assert "not of the bundle" in office.get("/v1/texts/model", office.officer).json()["refused"]
