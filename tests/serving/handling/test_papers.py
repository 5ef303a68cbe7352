from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from serving.handling.papers import TYPES, check, check_name, check_types, look
from tests.serving.handling.paper import PAPERS, office


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_a_paper_is_what_its_bytes_are(name: str) -> None:
    assert look(PAPERS[name]).type == name
    found = check(PAPERS[name], name=f"甲.{name}", media=TYPES[name], allowed=frozenset(TYPES))
    assert found.type == name


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"MZ\x90\x00", "a Windows program"),
        (b"\x7fELF\x02", "a program"),
        (b"GIF89a", "GIF"),
        (b"\x00\x01\x02", "binary data"),
        (b"PK\x03\x04 no archive", "broken ZIP"),
        (office("readme.txt"), "no docx or xlsx"),
        (office("word/document.xml", "xl/workbook.xml"), "no docx or xlsx"),
        (office("word/document.xml", "word/vbaProject.bin"), "macros"),
    ],
)
def test_what_is_no_paper_is_told_for_what_it_is(content: bytes, told: str) -> None:
    found = look(content)
    assert found.type is None
    assert told in found.told


def test_an_archive_with_a_member_twice_is_refused() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("[Content_Types].xml", "word/document.xml"):
            archive.writestr(name, "x")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("word/document.xml", "y")
    assert look(file.getvalue()).type is None


@pytest.mark.parametrize(
    ("name", "media", "told"),
    [
        ("甲.pdf", TYPES["pdf"], "the name '甲.pdf' says pdf, the content is png"),
        ("甲.png", TYPES["pdf"], "Content-Type says 'application/pdf', the content is png"),
        ("甲", TYPES["png"], "says nothing"),
    ],
)
def test_name_and_type_must_be_those_of_the_content(name: str, media: str, told: str) -> None:
    found = check(PAPERS["png"], name=name, media=media, allowed=frozenset(TYPES))
    assert found.type is None
    assert told in found.told


def test_a_type_that_the_office_does_not_take_is_none() -> None:
    found = check(PAPERS["txt"], name="a.txt", media="text/plain; charset=utf-8", allowed={"pdf"})
    assert found.type is None


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "../a.pdf",
            "a/b.pdf",
            "a\\b.pdf",
            "a\x00.pdf",
            "a\n.pdf",
            ".a.pdf",
            "a.pdf.",
            " a.pdf",
        ),
        *("a\u202efdp.exe", "C:a.pdf", "甲" * 80 + ".pdf"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"file's name"):
        check_name(name)


@given(st.text(max_size=60))
def test_a_name_that_is_taken_is_plain(name: str) -> None:
    try:
        told = check_name(name)
    except ConfigError:
        return
    assert not set(told) & set('/\\\0\r\n"')
    assert check_name(told) == told


@given(st.binary(max_size=400), st.sampled_from(["", "PK\x03\x04", "%PDF-"]))
def test_any_bytes_are_something(content: bytes, beginning: str) -> None:
    found = look(beginning.encode("latin-1") + content)
    assert found.told
    assert found.type is None or found.type in TYPES


def test_the_types_of_a_setting_are_those_there_are() -> None:
    assert check_types("pdf, png") == {"pdf", "png"}
    for names in ("", "pdf,exe"):
        with pytest.raises(ValueError, match="must be of pdf"):
            check_types(names)
