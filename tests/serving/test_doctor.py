from __future__ import annotations

import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from models.errors import RegistryError
from serving import doctor
from serving.doctor import Finding, examine
from serving.ledger import audit, embedded, health, workers
from serving.ledger.audit import Entry
from serving.ledger.engine import Ledger
from serving.runtime.registry import Registry
from serving.service import now
from serving.settings import ServeSettings

ALL = {
    *("台账", "台账结构", "时钟", "备份", "后台任务进程"),
    *("主目录", "磁盘", "数据湖", "模型", "密钥", "网络", "组件", "字体", "规则文件", "本单位规则"),
}


def found(settings: ServeSettings) -> dict[str, Finding]:
    return {one.title: one for one in examine(settings, now=now)}


def state(settings: ServeSettings, title: str, **changed: object) -> tuple[str, str]:
    one = found(settings.model_copy(update=changed))[title]
    assert (one.remedy is None) == (one.state == "ok")
    return one.state, f"{one.told} {one.remedy}"


def test_every_part_is_looked_at_and_what_is_not_well_has_a_remedy(
    settings: ServeSettings,
) -> None:
    findings = found(settings)
    assert set(findings) == ALL
    assert all((one.remedy is None) == (one.state == "ok") for one in findings.values())
    assert {title for title, one in findings.items() if one.state == "fail"} == set()
    assert findings["台账"].state == findings["台账结构"].state == findings["时钟"].state == "ok"


def test_a_database_that_is_not_there_is_one_failure_and_the_rest_is_still_told(
    settings: ServeSettings,
) -> None:
    broken = settings.model_copy(
        update={"database_url": SecretStr("postgresql://localhost:1/x"), "database_wait": 1.0}
    )
    findings = found(broken)
    assert findings["台账"].state == "fail"
    assert "cannot be reached" in findings["台账"].told
    assert "磁盘" in findings
    assert "台账结构" not in findings


def test_a_ledger_that_is_not_migrated_is_told_what_to_run(
    settings: ServeSettings, empty_database: str
) -> None:
    told = state(settings, "台账结构", database_url=SecretStr(empty_database))
    assert told[0] == "fail"
    assert "xinjian serve migrate" in told[1]


def test_a_clock_that_is_off_is_told(settings: ServeSettings) -> None:
    for seconds, expected in ((0, "ok"), (2, "warn"), (-60, "fail")):
        off = timedelta(seconds=seconds)
        findings = {one.title: one for one in examine(settings, now=lambda off=off: now() + off)}
        assert findings["时钟"].state == expected


def test_a_disk_that_fills_up_is_told(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, expected in ((20, "ok"), (5, "warn"), (0.5, "fail")):
        usage = Mock(return_value=Mock(free=int(free * doctor.GIB)))
        monkeypatch.setattr(shutil, "disk_usage", usage)
        assert state(settings, "磁盘")[0] == expected


def test_a_worker_is_known_by_its_heartbeat(settings: ServeSettings, ledger: Ledger) -> None:
    assert state(settings, "后台任务进程")[0] == "warn"
    with ledger.begin() as connection:
        workers.seen(connection, "worker-1")
    assert state(settings, "后台任务进程")[0] == "ok"
    with ledger.begin() as connection:
        connection.execute(text("update worker set seen_at = seen_at - interval '2 minutes'"))
    assert state(settings, "后台任务进程")[0] == "fail"


def test_a_backup_is_known_by_its_audited_act(settings: ServeSettings, ledger: Ledger) -> None:
    assert health.days_since(ledger, "ledger.backup") is None
    with ledger.begin() as connection:
        audit.append(connection, Entry(now() - timedelta(days=9), "system", "ledger.backup"))
    assert state(settings, "备份") == ("warn", "上次备份在 9.0 天前 定期运行 xinjian serve backup")
    with ledger.begin() as connection:
        audit.append(connection, Entry(now(), "system", "ledger.backup"))
    assert state(settings, "备份")[0] == "ok"


def test_a_lake_is_read_and_written(settings: ServeSettings, tmp_path: Path) -> None:
    assert state(settings, "数据湖")[0] == "warn"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file.txt").write_text("x")
    told = state(settings, "数据湖", lake_url=str(tmp_path / "other"))
    assert told[0] in {"warn", "fail"}


def test_a_registry_that_does_not_answer_is_a_finding(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Registry) -> None:
        message = "the registry cannot be reached"
        raise RegistryError(message)

    monkeypatch.setattr(Registry, "named", fail)
    assert state(settings, "模型")[0] == "fail"


def test_secrets_that_others_may_read_are_told(settings: ServeSettings) -> None:
    key = SecretStr("a key of the tests")
    settings.home.mkdir()
    assert state(settings, "密钥")[0] == "warn"
    assert state(settings, "密钥", person_key=key)[0] == "ok"
    settings.secret_file.write_text("secret")
    settings.secret_file.chmod(0o640)
    told = state(settings, "密钥", person_key=key)
    assert told[0] == "fail"
    assert f"chmod 600 {settings.secret_file}" in told[1]
    settings.secret_file.chmod(stat.S_IRUSR)
    (settings.home / "backups").mkdir(mode=0o755)
    assert "chmod 700" in state(settings, "密钥", person_key=key)[1]


def test_plain_text_on_the_wire_is_told(settings: ServeSettings) -> None:
    assert state(settings, "网络")[0] == "ok"
    assert state(settings, "网络", host="0.0.0.0")[0] == "warn"  # noqa: S104 - what is warned of
    assert not doctor._open_wire("postgresql://u:p@db.example/x?sslmode=verify-full")
    assert doctor._open_wire("postgresql://u:p@db.example/x")
    assert not doctor._open_wire("postgresql:///x?host=/run/postgresql")


def test_a_missing_package_and_a_missing_font_are_told(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def found(name: str) -> str | None:
        return None if name == "pyotp" else name

    monkeypatch.setattr(doctor, "find_spec", found)
    monkeypatch.setattr("models.fonts.FONT", tmp_path / "none.otf")
    assert state(settings, "组件") == (
        "fail",
        "缺少 pyotp（双因素认证） 运行 pip install 'xinjian[serving,embedded]'",
    )
    assert state(settings, "字体")[0] == "fail"


def test_a_home_that_cannot_be_written_is_told(
    settings: ServeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", fail)
    assert state(settings, "主目录")[0] == "fail"


@pytest.mark.parametrize(
    ("mode", "uid", "expected"), [(0o777, 1, "warn"), (0o700, 0, "warn"), (0o700, 1, "ok")]
)
def test_an_embedded_server_that_others_could_enter_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, uid: int, expected: str
) -> None:
    tmp_path.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(embedded.Server, "socket_folder", tmp_path)
    server = object.__new__(embedded.Server)
    assert doctor._embedded(server).state == expected
