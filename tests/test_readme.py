"""What the pages say works as it stands there."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from models.features.catalogue import features_of
from models.records.declared import load_contract
from models.scenarios.catalogue import catalogue
from models.scenarios.load import load_scenario, schema
from models.scenarios.scenario import Family
from serving.app import create_app
from serving.settings import ServeSettings
from tests.command_lines import found, parse, spoken
from training.sources.mapping import load_mapping
from xinjian.cli import main

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "serving/README.md", "training/README.md")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
MOST_LINES = 550

RUN = ("draw",)
"""Groups of commands that are carried out below."""
RUN_APART = ("features", "risk", "text", "serve")
"""Groups that take minutes and are carried out in ``test_readme_run.py``."""
OTHERS = {
    "make": "dry-run below",
    "export": "held against the settings below",
    "docker": "there is no container runtime here; tests/test_deploy.py reads what it would read",
    "kubectl": "there is no cluster here; tests/test_deploy.py builds the manifests",
    "install": "copies a file that tests/test_deploy.py reads",
    "rsync": "copies a folder; what a restore needs of it is in tests/serving/ledger",
}
"""Other programs that the pages name, and what stands for running them."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)


def lines() -> Iterator[str]:
    """Give the lines of shell of all pages, without comments and blank ones."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                if words := shlex.split(line, comments=True):
                    yield shlex.join(words) if words[0] != "export" else line


LINES = list(lines())
COMMANDS = [words for line in LINES for words in spoken(line) if words]


# Commands


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_that_is_shown_parses(words: list[str]) -> None:
    assert parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_running_text_has_the_options_it_is_said_to_have(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    named = [shlex.split(one) for one in re.findall(r"`xinjian ([a-z][^`]+)`", text)]
    assert named
    for words in named:
        command, options = found(words)
        known = {flag for parameter in command.params for flag in parameter.opts}
        assert {one for one in options if one.startswith("--")} <= known, words


def test_every_command_that_is_shown_is_of_a_group_that_is_run() -> None:
    assert {words[0] for words in COMMANDS} == {*RUN, *RUN_APART}


def test_every_other_program_that_is_shown_has_a_reason() -> None:
    programs = {line.split()[0] for line in LINES} - {"xinjian"}
    assert programs == set(OTHERS)


def test_places_that_a_reason_names_are_there() -> None:
    for reason in OTHERS.values():
        for place in re.findall(r"tests/[\w/.]+\w", reason):
            assert (ROOT / place).exists(), place


@pytest.mark.parametrize("line", [one for one in LINES if one.startswith("make")])
def test_every_make_target_that_is_shown_is_one(line: str) -> None:
    done = subprocess.run(
        [*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_variable_of_make_that_is_named_is_one() -> None:
    named = set(re.findall(r"`make [\w-]+ (\w+)=", text_of("README.md")))
    assert named >= {"SUBJECTS", "DATA"}
    makefile = text_of("Makefile")
    assert [one for one in named if f"$({one})" not in makefile] == []
    targets = set(re.findall(r"`make ([\w-]+)", text_of("README.md")))
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert targets <= set(phony.split())


def test_settings_that_are_exported_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for line in LINES:
        if line.startswith("export"):
            for pair in shlex.split(line, comments=True)[1:]:
                name, _, value = pair.partition("=")
                monkeypatch.setenv(name, value)
    settings = ServeSettings.load()
    assert settings.lake == "s3://xinjian/lake"
    assert settings.storage["aws_region"] == "us-east-1"
    assert settings.oidc_roles == "realm_access.roles"


@pytest.mark.usefixtures("restored_logging")
def test_the_draw_that_is_shown_is_drawn_and_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XINJIAN_HOME", str(tmp_path / "home"))
    subjects = [f"s{n:04d}" for n in range(1200)]
    pool = [f"{one},{'AB'[n % 2]},{0.1 + 0.2 * (n % 2)}" for n, one in enumerate(subjects)]
    Path("pool.csv").write_text("\n".join(["subject_id,stratum,pi", *pool]), encoding="utf-8")
    found = [f"{one},{'ABCD'[n % 4]},{0.01 + n / 4000}" for n, one in enumerate(subjects)]
    head = "subject_id,grade,probability"
    Path("population.csv").write_text("\n".join([head, *found]), encoding="utf-8")
    drawn: list[str] = []
    for words in (one for one in COMMANDS if one[0] == "draw"):
        if words[1] == "seed":
            entropy = {"source": "drand round 4242424", "value": "8f3c" * 16}
            entropy["published_at"] = datetime.now(UTC).isoformat()
            Path("entropy.yaml").write_text(json.dumps([entropy]), encoding="utf-8")
        if words[1] == "estimate":
            record = cast("dict[str, Any]", json.loads(Path("draw/record.json").read_text("utf-8")))
            drawn = [one["subject_id"] for one in record["drawn"]]
            results = [f"{one},{n % 7 == 0}".lower() for n, one in enumerate(drawn)]
            Path("draw/results.csv").write_text("\n".join(["subject_id,positive", *results]))
        assert main(words) == 0, words
    assert drawn
    assert "<svg" in Path("frontier.svg").read_text(encoding="utf-8")


# Declarations


def declared(name: str, tmp_path: Path) -> Path:
    """Write the block of the README that begins with a file's name, and return the file."""
    (block,) = [one for one in blocks("README.md", "yaml") if one.startswith(f"# {name}")]
    path = tmp_path / name
    path.write_text(block, encoding="utf-8")
    return path


def test_the_mapping_it_shows_is_sound(tmp_path: Path) -> None:
    (plan,) = load_mapping(declared("mapping.yaml", tmp_path)).plans
    assert plan.contract.name == "penalty"
    assert plan.source.strict


def test_the_contract_it_shows_is_sound(tmp_path: Path) -> None:
    contract = load_contract(declared("instrument.yaml", tmp_path))
    assert contract.name == "instrument"
    assert contract.outcome == {"cheated"}


def test_the_scenario_it_shows_is_sound(tmp_path: Path) -> None:
    assert load_scenario(declared("scenario.yaml", tmp_path)).label.weight == "ipw"


@pytest.mark.parametrize("page", PAGES)
def test_the_python_that_is_shown_imports_what_there_is(page: str) -> None:
    for block in blocks(page, "python"):
        imports = [line for line in block.splitlines() if line.startswith(("from ", "import "))]
        compile(block, page, "exec")
        exec("\n".join(imports), {})  # noqa: S102 -- our own page


# Pages


@pytest.mark.parametrize(
    "page", [*PAGES, "BENCHMARKS.md", "training/schedule/README.md", "serving/deploy/README.md"]
)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        path, _, anchor = target.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        assert "://" not in target, target
        assert place.exists(), target
        titles = re.findall(r"^#+ (.+)$", place.read_text("utf-8"), re.MULTILINE) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in titles}
        assert not anchor or anchor in slugs, target


def test_every_file_that_is_named_is_there() -> None:
    paths = r"`((?:models|training|serving|xinjian|tests)/[\w/.]+)`"
    named = set(re.findall(paths, text_of("README.md")))
    assert len(named) > 5
    assert [one for one in named if not (ROOT / one).exists()] == []


def test_the_first_page_stays_short() -> None:
    assert len(text_of("README.md").splitlines()) <= MOST_LINES


# Docs against code


@pytest.fixture(scope="module")
def interface() -> dict[str, Any]:
    return create_app(ServeSettings()).openapi()


def test_every_route_has_a_chinese_summary(interface: dict[str, Any]) -> None:
    silent = [
        f"{method} {path}"
        for path, operations in interface["paths"].items()
        for method, operation in operations.items()
        if not CHINESE.search(operation.get("summary", ""))
    ]
    assert silent == []


def test_every_group_of_routes_is_on_a_page(interface: dict[str, Any]) -> None:
    told = text_of("README.md") + text_of("serving/README.md")
    groups = {"/".join(path.split("/")[:3]) for path in interface["paths"]}
    assert {"/v1/records", "/health/live"} <= groups
    assert sorted(one for one in groups if one not in told) == []


def test_every_field_of_a_scenario_is_described() -> None:
    told = cast("dict[str, Any]", schema())
    shapes = {"Scenario": told, **told["$defs"]}
    silent = [
        f"{name}.{field}"
        for name, shape in shapes.items()
        for field, said in shape.get("properties", {}).items()
        if not CHINESE.search(said.get("description", ""))
    ]
    assert silent == []


@pytest.mark.parametrize("family", get_args(Family))
def test_every_family_of_features_is_explained(family: str) -> None:
    assert f"| `{family}` |" in text_of("training/README.md")
    assert f"`{family}`" in text_of("README.md")


@pytest.mark.parametrize("scenario", sorted(catalogue()))
def test_every_feature_has_a_chinese_title_and_a_reason(scenario: str) -> None:
    specs = features_of(catalogue()[scenario])
    assert specs
    for spec in specs:
        assert CHINESE.search(spec.title), spec.name
        assert CHINESE.search(spec.reason), spec.name


def test_the_settings_of_whoever_runs_the_tests_are_left_out() -> None:
    assert [name for name in os.environ if name.startswith("XINJIAN_")] == []
