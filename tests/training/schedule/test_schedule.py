"""The examples are run with a stand-in for ``xinjian`` that only ends with a code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml

from training.commands import retrain

FINE = (0, retrain.KEPT, retrain.NOTHING_TO_DO, retrain.BUSY)
WRONG = (1, 2, 130)


@pytest.fixture
def examples(root: Path) -> Path:
    return root / "training" / "schedule"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH whose ``xinjian`` says what it was asked and ends with ``$CODE``."""
    script = tmp_path / "bin" / "xinjian"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "asked: $*"\nexit "$CODE"\n', encoding="utf-8")
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}"


def _job(examples: Path) -> tuple[list[str], str]:
    """Return the five fields of the crontab's only job, and its command."""
    lines = (examples / "crontab").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if re.match(r"[\d*@]", line)]
    others = [line for line in lines if line and line not in jobs]
    assert all(re.match(r"#|\w+=", line) for line in others)
    (job,) = jobs
    *fields, command = job.split(maxsplit=5)
    return fields, command


def test_the_crontab_names_a_moment_there_is(examples: Path) -> None:
    fields, command = _job(examples)
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    for field, (low, high) in zip(fields, ranges, strict=True):
        assert field == "*" or low <= int(field) <= high
    assert "%" not in command  # cron would take it for a line break


@pytest.mark.parametrize("code", [*FINE, *WRONG])
def test_cron_sends_mail_about_failures_alone(
    code: int, examples: Path, path: str, tmp_path: Path
) -> None:
    log = tmp_path / "retrain.log"
    command = _job(examples)[1].replace("/srv/xinjian/retrain.log", str(log))
    environment = {"PATH": path, "CODE": str(code)}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, check=False
    )
    assert log.read_text(encoding="utf-8") == "asked: risk retrain food_safety --if-drifted\n"
    assert bool(done.stdout) is (code in WRONG)
    assert done.stderr == ""


def _cronjob(examples: Path) -> dict[str, object]:
    path = examples.parent.parent / "serving" / "deploy" / "kubernetes" / "retrain.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_cronjob_is_one_and_never_runs_twice_at_once(examples: Path) -> None:
    cronjob = _cronjob(examples)
    assert (cronjob["apiVersion"], cronjob["kind"]) == ("batch/v1", "CronJob")
    spec = cast("dict[str, object]", cronjob["spec"])
    assert spec["concurrencyPolicy"] == "Forbid"
    assert str(spec["schedule"]).split() == _job(examples)[0]


@pytest.mark.parametrize("code", [*FINE, *WRONG])
def test_kubernetes_fails_a_pod_for_failures_alone(code: int, examples: Path, path: str) -> None:
    text = yaml.dump(_cronjob(examples))
    (args,) = _containers(examples)[0]["args"]
    assert _containers(examples)[0]["command"] == ["/bin/sh", "-c"]
    done = subprocess.run(
        ["/bin/sh", "-c", args],
        env={"PATH": path, "CODE": str(code)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "asked: risk retrain food_safety --if-drifted\n"
    assert done.returncode == (0 if code in FINE else code)
    assert "restartPolicy: Never" in text


def _containers(examples: Path) -> list[dict[str, list[str]]]:
    spec = _cronjob(examples)
    for key in ("spec", "jobTemplate", "spec", "template", "spec"):
        spec = cast("dict[str, object]", spec[key])
    mounted = {one["name"] for one in cast("list[dict[str, str]]", spec["volumes"])}
    containers = cast("list[dict[str, list[str]]]", spec["containers"])
    mounts = cast("list[dict[str, str]]", containers[0]["volumeMounts"])
    assert {mount["name"] for mount in mounts} == mounted
    return containers


def test_systemd_takes_the_codes_that_are_no_failures_for_success(examples: Path) -> None:
    text = (examples / "xinjian-retrain@.service").read_text(encoding="utf-8")
    found = re.search(r"^SuccessExitStatus=(.*)$", text, flags=re.MULTILINE)
    assert found is not None
    assert [int(code) for code in found[1].split()] == [code for code in FINE if code]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_can_read_the_units(examples: Path, tmp_path: Path) -> None:
    for unit in examples.glob("xinjian-retrain@.*"):
        text = unit.read_text(encoding="utf-8")
        there = text.replace("/usr/local/xinjian/bin/xinjian", sys.executable)
        (tmp_path / unit.name).write_text(there, encoding="utf-8")
    names = [f"./xinjian-retrain@food_safety.{kind}" for kind in ("timer", "service")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    timer = (examples / "xinjian-retrain@.timer").read_text(encoding="utf-8")
    moment = re.search(r"^OnCalendar=(.*)$", timer, flags=re.MULTILINE)
    assert moment is not None
    subprocess.run(["systemd-analyze", "calendar", moment[1]], check=True, capture_output=True)


def test_every_exit_code_of_the_command_is_explained(examples: Path) -> None:
    page = (examples / "README.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    assert told == {*FINE, *WRONG}
    for name in ("crontab", "xinjian-retrain@.service", "xinjian-retrain@.timer"):
        assert f"`{name}`" in page
        assert (examples / name).is_file()
