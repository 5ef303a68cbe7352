from __future__ import annotations

from serving.reports.qr import page_of, qr
from serving.settings import ServeSettings


def settings(address: str | None) -> ServeSettings:
    return ServeSettings.model_validate({"public_address": address})


def test_a_page_is_under_the_public_address() -> None:
    known = settings("https://credit.example.cn/xinjian/")
    page = page_of(known, "v1", "plans", "餐饮 2027/1", "verify", period="2027Q1&x")
    assert page == (
        "https://credit.example.cn/xinjian/v1/plans/%E9%A4%90%E9%A5%AE%202027%2F1/verify"
        "?period=2027Q1%26x"
    )
    assert page_of(known, "v1") == "https://credit.example.cn/xinjian/v1"


def test_without_an_address_there_is_no_code() -> None:
    assert page_of(settings(None), "v1") is None
    assert page_of(settings("  "), "v1") is None
    assert qr(None) is None


def test_a_code_is_a_picture() -> None:
    assert (qr("https://credit.example.cn/v1/reports/x") or "").startswith("<?xml")
