from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ConfigError
from models.text.encoder import (
    CLS,
    LONGEST_TEXT,
    SEP,
    SPECIAL,
    UNKNOWN,
    EncoderShape,
    character_tokenizer,
    clean,
    load_base,
    masked_model,
    new_masked_model,
    plain,
    save_tokenizer,
    vocabulary_of,
)
from models.text.untyped import keep_pretrained

TEXTS = ["超过保质期的食品", "超标排放 water 123", "食品标签"] * 5
VOCABULARY = vocabulary_of(TEXTS)
TINY = EncoderShape(layers=1, hidden=16, heads=2, inner=16, positions=32, dropout=0)


def _saved(folder: Path) -> Path:
    keep_pretrained(new_masked_model(TINY, len(VOCABULARY)), folder)
    save_tokenizer(character_tokenizer(VOCABULARY), folder)
    return folder


def test_the_special_tokens_come_first_and_frequent_characters_next() -> None:
    assert list(VOCABULARY)[:5] == list(SPECIAL)
    assert list(VOCABULARY.values()) == list(range(len(VOCABULARY)))
    assert list(VOCABULARY)[5] in "食品超标"


def test_rare_characters_stay_out_of_the_vocabulary() -> None:
    assert "龘" not in vocabulary_of(["龘", *TEXTS], at_least=2)


def test_the_vocabulary_has_at_most_the_size_asked_for() -> None:
    assert len(vocabulary_of(TEXTS, size=9)) == 9


def test_each_character_is_a_token_at_its_own_place() -> None:
    found = character_tokenizer(VOCABULARY).encode("食品 123")
    assert found.tokens == ["[CLS]", "食", "品", "1", "2", "3", "[SEP]"]
    assert found.offsets[1:-1] == [(0, 1), (1, 2), (3, 4), (4, 5), (5, 6)]


def test_full_width_and_upper_case_are_the_plain_character() -> None:
    tokenizer = character_tokenizer(VOCABULARY)
    assert tokenizer.encode("ＷＡＴＥＲ１２３").ids == tokenizer.encode("water123").ids


def test_markup_and_invisible_characters_are_not_read() -> None:
    tokenizer = character_tokenizer(VOCABULARY)
    given = "<p class='x'>食\u200b品</p><!-- 超标 -->"
    assert tokenizer.encode(given).ids == tokenizer.encode("食品").ids
    assert plain(given) == "食 品"


def test_a_sign_for_less_is_not_markup() -> None:
    assert plain("浓度<5毫克，且>3毫克") == "浓度<5毫克,且>3毫克"


def test_a_special_token_written_in_a_text_is_only_characters() -> None:
    found = character_tokenizer(VOCABULARY).encode("[SEP]食[MASK][CLS]")
    assert found.ids.count(SEP) == 1
    assert found.ids.count(CLS) == 1
    assert found.ids.count(VOCABULARY["[MASK]"]) == 0


@pytest.mark.parametrize("text", ["", None, " \n\t", "<br>", "\u200b"])
def test_nothing_to_read_is_two_special_tokens(text: str | None) -> None:
    assert character_tokenizer(VOCABULARY).encode(clean(text)).ids == [CLS, SEP]


def test_unknown_characters_emoji_and_traditional_ones_are_unknown_tokens() -> None:
    found = character_tokenizer(VOCABULARY).encode("違規😀")
    assert found.ids == [CLS, UNKNOWN, UNKNOWN, UNKNOWN, SEP]


def test_a_very_long_text_is_cut_before_anything_else() -> None:
    assert len(clean("食" * 100_000)) == LONGEST_TEXT


@pytest.mark.parametrize(
    "markup",
    [
        "<p class='x'> </p>" * 4_000,
        f'<img src="data:image/png;base64,{"iVBORw0K" * 12_000}">',
        "<!-- 无 -->" * 9_000,
        "<STYLE>p { color: red }</style><script>var 食 = 1;</script>" * 900,
        "\n" * 90_000,
    ],
)
def test_what_stands_behind_long_markup_is_read(markup: str) -> None:
    text = f"投诉：{markup}食品"
    read = clean(text)
    assert read.split() == ["投诉：", "食品"]
    assert read.index("食") == text.rindex("食品")
    assert plain(text) == "投诉: 食品"


def test_only_what_is_read_counts_towards_the_longest_text() -> None:
    read = clean("<b>食</b>" * LONGEST_TEXT + "多" * 9)
    assert read.count("食") == LONGEST_TEXT
    assert "多" not in read


@pytest.mark.parametrize("text", ["罚款<5 万，且 x<y", "若 a <b 则 c", "<a<a<a", '<a x="="'])
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert clean(text) == text


@given(st.text(st.characters(codec=None)))
def test_every_text_can_be_read(text: str) -> None:
    read = clean(text)
    assert len(read) == min(len(text), LONGEST_TEXT)
    found = character_tokenizer(VOCABULARY).encode(read)
    assert all(0 <= begin <= end <= len(read) for begin, end in found.offsets)


def test_a_lone_surrogate_is_replaced_one_for_one() -> None:
    assert clean("食\ud83d品") == "食\ufffd品"


def test_a_saved_encoder_is_a_base(tmp_path: Path) -> None:
    model, tokenizer = load_base(str(_saved(tmp_path / "base")))
    assert int(model.config.hidden_size) == TINY.hidden
    assert (
        tokenizer.encode("食品[SEP]").ids == character_tokenizer(VOCABULARY).encode("食品[SEP]").ids
    )


def test_a_saved_encoder_can_be_pre_trained_further(tmp_path: Path) -> None:
    model, tokenizer = masked_model(str(_saved(tmp_path / "base")))
    assert model.config.vocab_size == tokenizer.get_vocab_size()


def test_a_base_without_tokenizer_is_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "base")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ConfigError, match=r"has no tokenizer .*vocab\.txt"):
        load_base(str(folder))


def test_a_base_without_weights_is_named(tmp_path: Path) -> None:
    folder = _saved(tmp_path / "base")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="weights or configuration cannot be read"):
        load_base(str(folder))


def test_an_empty_folder_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read from this folder"):
        load_base(str(tmp_path))


@pytest.mark.parametrize("base", ["./missing", "/missing/base", "a/b/c"])
def test_a_path_that_leads_nowhere_is_not_looked_for_in_a_hub(base: str) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        load_base(base)


def test_a_name_that_is_not_kept_here_says_what_to_do_offline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="name its folder, or make an encoder here"):
        load_base("nobody/has-such-an-encoder")
