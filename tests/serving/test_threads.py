from __future__ import annotations

import os

import pytest

from serving.threads import of_a_job, one_each

POLARS, OMP, BLAS = "POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (POLARS, OMP, BLAS, "XINJIAN_ONE_THREAD"):
        monkeypatch.setenv(name, "?")  # so that it is put back
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("bare")
def test_a_process_that_answers_has_one_thread_and_its_jobs_have_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(OMP, "4")
    before = dict(os.environ)
    one_each()
    one_each()
    assert (os.environ[POLARS], os.environ[OMP], os.environ[BLAS]) == ("1", "4", "1")
    assert of_a_job() == before
