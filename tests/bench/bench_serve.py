"""The service over HTTP against ``mlflow models serve`` and bare ASGI, with one bundle, in one run.

Run: python tests/bench/bench_serve.py [--seconds 5] [--workers 2] [--connections 1 16]
     [--trees 500] [--features 120] [--no-mlflow]
     [--lake FOLDER --bundle FOLDER --as-of 2025-06-30]

Made-up rows of features go to all three. *bare ASGI* is the same reading, deciding and writing
without routes, access, log and metrics: the floor of this model in Python. With ``--lake`` and a
bundle of one of its scenarios, subjects are decided from their records in the lake as well (stored,
with and without reasons), and everybody with ``score_all``. The client runs on the same machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import lightgbm
import msgspec
import numpy as np
import polars as pl

from models.features.pipeline import Pipeline
from models.records.lake import Lake
from models.risk.booster import Booster
from models.risk.bundle import Bundle
from models.risk.calibrate import Calibrator
from models.risk.encode import Encoder
from models.risk.manifest import BundleManifest
from models.scenarios import scenario_named
from serving.auth import tokens
from serving.auth.roles import Role
from serving.ledger import keys
from serving.ledger.keys import KeyRow
from serving.ledger.migrate import migrate
from serving.runtime.batch import score_all
from serving.runtime.inline import Inline
from serving.service import Service
from serving.settings import ServeSettings

SCENARIO = "annual_report_overdue"
HERE = Path(__file__).parent
Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a server: a path, a body of the moment, and who asks."""

    port: int
    path: str
    bodies: Sequence[bytes]
    key: str | None = None


def main() -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--connections", type=int, nargs="+", default=[1, 16])
    options.add_argument("--trees", type=int, default=500)
    options.add_argument("--features", type=int, default=120)
    options.add_argument("--no-mlflow", action="store_true")
    options.add_argument("--lake", type=Path, default=None)
    options.add_argument("--bundle", type=Path, default=None)
    options.add_argument("--as-of", type=date.fromisoformat, default=None)
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench_serve_"))
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {chosen.workers} workers")
    try:
        bundle, rows = made_up(chosen.trees, chosen.features)
        print(f"{chosen.trees} trees x 8 leaves, {len(bundle.encoder.features)} features\n")
        bundle.save(folder / "bundle")
        header = f"{'server':<12}{'what':<18}{'conn':>5}{'req/s':>10}{'p50 ms':>9}{'p95 ms':>9}"
        print(f"{header}{'p99 ms':>9}{'bad':>6}")
        inline(chosen, folder, rows)
        if chosen.lake is not None:
            print()
            from_records(chosen, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def inline(chosen: argparse.Namespace, folder: Path, rows: list[dict[str, float | None]]) -> None:
    """Ask all servers to decide rows of features."""
    one = [json.dumps({"features": [row]}).encode() for row in rows[:64]]
    told = [json.dumps({"features": [row], "explain": True}).encode() for row in rows[:64]]
    many = [json.dumps({"features": rows}).encode()]
    path = f"/v1/scenarios/{SCENARIO}/score"
    home = folder / "home"
    placed = home / "serving" / "bundles" / SCENARIO
    placed.mkdir(parents=True)
    shutil.copytree(folder / "bundle", placed / "champion")
    key = opened(home)
    with xinjian(home, chosen.workers) as port:
        for what, bodies in (("score", one), ("score + reasons", told), ("1,000 rows", many)):
            measured("xinjian", what, Load(port, path, bodies, key), chosen)
    with bare(folder / "bundle", chosen.workers) as port:
        for what, bodies in (("score", one), ("1,000 rows", many)):
            measured("bare ASGI", what, Load(port, "/", bodies), chosen)
    if chosen.no_mlflow:
        return
    split = [json.dumps({"dataframe_records": [row]}).encode() for row in rows[:64]]
    whole = [json.dumps({"dataframe_records": rows}).encode()]
    with mlflow(folder, chosen.workers) as port:
        for what, bodies in (("score", split), ("1,000 rows", whole)):
            measured("mlflow", what, Load(port, "/invocations", bodies), chosen)


def from_records(chosen: argparse.Namespace, folder: Path) -> None:
    """Decide subjects of a lake, one a request, and everybody at once."""
    bundle = Bundle.load(chosen.bundle)
    scenario = bundle.scenario.id
    home = folder / "lake-home"
    placed = home / "serving" / "bundles" / scenario
    placed.mkdir(parents=True)
    shutil.copytree(chosen.bundle, placed / "champion")
    more = {"lake_url": str(chosen.lake)}
    key = opened(home, more)
    on = chosen.as_of or date.today()  # noqa: DTZ011 - the machine's day is as good as any
    service = Service.open(ServeSettings.model_validate({"home": home, **more}))
    try:
        service.runtime.refresh()
        began = time.perf_counter()
        run = score_all(service, scenario, on)
        seconds = time.perf_counter() - began
        each = run.decided / seconds
        print(f"score_all: {run.decided:,} decisions, {run.warned:,} with reasons, {each:,.0f}/s")
    finally:
        service.close()
    register = Lake.open(chosen.lake).scan("subject", columns=["subject_id"]).collect()
    ids = register["subject_id"].to_list()
    random.Random(1).shuffle(ids)
    path = f"/v1/scenarios/{scenario}/score"
    with xinjian(home, chosen.workers, more) as port:
        for what, explain in (("subject", False), ("subject + reasons", True)):
            bodies = [
                json.dumps({"subjects": [s], "as_of": str(on), "explain": explain}).encode()
                for s in ids[:4000]
            ]
            measured("xinjian", what, Load(port, path, bodies, key), chosen, refused=True)


# Servers


def opened(home: Path, more: dict[str, str] | None = None) -> str:
    """Migrate the ledger of an installation, and return a key for it."""
    service = Service.open(ServeSettings.model_validate({"home": home, **(more or {})}))
    try:
        migrate(service.ledger)
        token, now = tokens.make(tokens.Kind.KEY), datetime.now(UTC)
        row = KeyRow(
            id=token.id,
            name="bench",
            digest=token.digest,
            roles=(Role.ANALYST,),
            regions=("",),
            departments=(),
            purposes=(),
            created_at=now,
            created_by="bench",
            expires_at=now + timedelta(days=1),
        )
        with service.ledger.begin() as connection:
            keys.add(connection, row)
        return token.text
    finally:
        service.close()


@contextmanager
def xinjian(home: Path, workers: int, more: dict[str, str] | None = None) -> Generator[int]:
    """Serve an installation."""
    port = free_port()
    command = ["-m", "xinjian.cli", "serve", "api", f"--port={port}", f"--workers={workers}"]
    settings = {"XINJIAN_HOME": str(home), "XINJIAN_RATE_LIMIT": "0", "XINJIAN_LOG_LEVEL": "error"}
    settings |= {f"XINJIAN_{name.upper()}": value for name, value in (more or {}).items()}
    with running([sys.executable, "-c", "from xinjian.cli import main; main()", *command[2:]],
                 port, "/health/ready", settings):  # fmt: skip
        time.sleep(2 * workers)  # every worker loads its models
        yield port


@contextmanager
def bare(bundle: Path, workers: int) -> Generator[int]:
    """Serve a bundle without anything around it."""
    port = free_port()
    command = ["uvicorn", "bench_serve:floor", "--factory", f"--app-dir={HERE}", f"--port={port}"]
    command += [f"--workers={workers}", "--log-level=error", "--no-access-log"]
    with running([sys.executable, "-m", *command], port, "/", {"BENCH_BUNDLE": str(bundle)}):
        yield port


@contextmanager
def mlflow(folder: Path, workers: int) -> Generator[int]:
    """Serve the bundle as MLflow does."""
    from training.registry import _save_pyfunc  # pyright: ignore[reportPrivateUsage]

    made = folder / "mlflow"
    made.mkdir()
    _save_pyfunc(made, folder / "bundle", Bundle.load(folder / "bundle"))
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", str(made / "model"), "--env-manager", "local"]
    command += ["--port", str(port), "--workers", str(workers)]
    env = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    with running([sys.executable, "-m", *command], port, "/ping", env):
        yield port


@contextmanager
def running(command: list[str], port: int, path: str, settings: dict[str, str]) -> Generator[None]:
    """Run a server until it answers, and end it with all its workers."""
    alone = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    env = {**os.environ, **alone, "PATH": _path(), **settings}
    server = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(600):
            if server.poll() is not None:
                message = f"the server ended: {' '.join(command)}"
                raise SystemExit(message)
            try:
                with urlopen(f"http://127.0.0.1:{port}{path}", timeout=2):
                    break
            except OSError:
                time.sleep(0.2)
        yield
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)


def floor() -> Callable[[Scope, Any, Any], Awaitable[None]]:
    """Return an application that decides rows of features and does nothing else."""
    bundle = Bundle.load(Path(os.environ["BENCH_BUNDLE"]))
    made = Inline.of(bundle, bundle.scenario, Pipeline.of(bundle.scenario))
    decode = msgspec.json.Decoder(dict[str, list[dict[str, float | str | None]]]).decode
    encode = msgspec.json.Encoder().encode
    on = date(2026, 1, 1)
    head = [(b"content-type", b"application/json")]

    async def app(scope: Scope, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        answer = encode({"decisions": made.decide(decode(body)["features"], on)}) if body else b"{}"
        size = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [*head, size]})
        await send({"type": "http.response.body", "body": answer})

    return app


# The client


def measured(
    server: str,
    what: str,
    load: Load,
    chosen: argparse.Namespace,
    *,
    refused: bool = False,
) -> None:
    """Print how a server bears a load; ``refused``: an answer 422 is as good as any."""
    for connections in chosen.connections:
        good = {200, 422} if refused else {200}
        asyncio.run(ask(load, connections, min(1.0, chosen.seconds), good))
        took, bad = asyncio.run(ask(load, connections, chosen.seconds, good))
        if not took:
            print(f"{server:<12}{what:<18}{connections:>5}  no answer, {bad} bad")
            continue
        p50, p95, p99 = (1e3 * q for q in np.quantile(took, [0.5, 0.95, 0.99]))
        rate = len(took) / chosen.seconds
        print(
            f"{server:<12}{what:<18}{connections:>5}{rate:>10,.1f}{p50:>9.2f}{p95:>9.2f}{p99:>9.2f}"
            f"{bad:>6}",
            flush=True,
        )


async def ask(
    load: Load, connections: int, seconds: float, good: set[int]
) -> tuple[list[float], int]:
    """Ask over some connections at once; return the seconds of each answer, and how many failed."""
    took: list[float] = []
    bad = 0
    until = time.perf_counter() + seconds
    key = f"X-API-Key: {load.key}\r\n" if load.key else ""
    requests = [
        f"POST {load.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{key}"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for body in load.bodies
    ]

    async def one(place: int) -> None:
        nonlocal bad
        reader, writer = await asyncio.open_connection("127.0.0.1", load.port, limit=2**24)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(requests[place % len(requests)])
            place += connections
            status = await answer_of(reader)
            if status in good:
                took.append(time.perf_counter() - began)
            else:
                bad += 1
        writer.close()

    await asyncio.gather(*(one(n) for n in range(connections)))
    return took, bad


async def answer_of(reader: asyncio.StreamReader) -> int:
    """Read one answer, and return its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    size = int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(size)
    return int(head[9:12])


# What is decided


def made_up(trees: int, features: int) -> tuple[Bundle, list[dict[str, float | None]]]:
    """Return a bundle of a built-in scenario, fitted on made-up numbers, and 1,000 rows for it."""
    scenario = scenario_named(SCENARIO)
    pipeline = Pipeline.of(scenario)
    numbers = [spec for spec in pipeline.features if spec.dtype != "category"][:features]
    random_ = np.random.default_rng(0)
    matrix = random_.normal(size=(20_000, len(numbers)))
    matrix[random_.random(matrix.shape) < 0.1] = np.nan
    odds = np.nan_to_num(matrix[:, :20]).sum(axis=1) / 3 - 1
    happened = random_.random(len(matrix)) < 1 / (1 + np.exp(-odds))
    settings = {"objective": "binary", "num_leaves": 8, "verbose": -1, "seed": 1, "num_threads": 2}
    train = cast("Callable[..., lightgbm.Booster]", vars(lightgbm)["train"])
    text = train(settings, lightgbm.Dataset(matrix, happened), trees).model_to_string()
    encoder = Encoder(tuple(spec.name for spec in numbers))
    day = date(2025, 1, 1)
    manifest = BundleManifest(
        data_versions={}, trained_from=day, trained_to=day, rows=len(matrix),
        positives=int(happened.sum()), base_rate=float(happened.mean()),
    )  # fmt: skip
    booster = Booster.from_text(text, features=encoder.features)
    bundle = Bundle(scenario, pipeline.features, encoder, booster, Calibrator(), manifest)
    vetoed = Inline.of(bundle, scenario, pipeline).needed[len(numbers) :]
    frame = pl.DataFrame(matrix[:1000], schema=list(encoder.features)).fill_nan(None)
    rows = frame.with_columns(pl.lit(None, pl.Float64).alias(name) for name in vetoed).to_dicts()
    return bundle, rows


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


if __name__ == "__main__":
    main()
