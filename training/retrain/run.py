"""Retraining from drift to promotion, in steps that are each done once, however often cut off.

drift     does the champion still hold?
window    which days can both be judged by?
fit       a challenger, and its baselines
compare   both on the same later rows
verdict   promote or keep
register  the challenger in the registry
promote   aliases, as the verdict says
record    the lake's row of the decision
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

import polars as pl

from models.errors import BundleError, FitError, LakeMissingError
from models.logs import logger
from models.monitor.drift import DriftLimits
from models.records.bookkeeping import of_records
from models.records.contract import Contract
from models.records.contracts import CONTRACTS
from models.records.lake import Lake
from models.risk.bundle import Bundle
from models.scenarios.scenario import Scenario
from training.evaluate.evaluation import Evaluation, Fairness
from training.evaluate.fairness import fairness
from training.evaluate.judge import evaluate
from training.evaluate.predictions import MAIN
from training.registry import BUNDLE, EVALUATION, Registered, Registry
from training.retrain import promotion
from training.retrain.compare import (
    CHALLENGER,
    CHAMPION,
    both,
    champion_matrix,
    first_model,
    moved_grades,
)
from training.retrain.journal import Journal, Json
from training.retrain.lock import locked
from training.retrain.offpolicy import estimated
from training.retrain.runs import done_run, run_of
from training.retrain.verdict import Limits, Verdict, judge
from training.retrain.watch import Watched, watch
from training.retrain.window import test_from, unseen_from
from training.risk.matrix import At, Matrix, build_matrix, declaration_digest
from training.risk.place import Place, waited
from training.risk.run import Options, Progress, fit_run

Ending: TypeAlias = Literal["promoted", "kept", "steady", "nothing_new", "busy"]

FOLDER: Final = "retrain"
MATRIX: Final = "matrix"


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """What a retraining is asked for.

    ``if_drifted``: end where the champion still holds. ``dry_run``: register and promote nothing; a
    later run without it goes on from there. ``at`` and ``regrow`` (grow the trees on the later
    slices too) are the champion's where left out.
    """

    if_drifted: bool = False
    dry_run: bool = False
    at: At | None = None
    regrow: bool | None = None
    trials: int = 0
    threads: int = 1
    resamples: int = 1000
    seed: int = 7
    limits: Limits = field(default_factory=Limits)
    drift_limits: DriftLimits = field(default_factory=DriftLimits)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a retraining ended, what it found, and its folder.

    ``note`` says who is at work where another run is, or which reasons of drift there were.
    """

    ending: Ending
    folder: Path
    verdict: Verdict | None = None
    version: Registered | None = None
    note: str = ""


def retrain(
    lake: Lake,
    scenario: Scenario,
    root: Path,
    *,
    registry: Registry,
    now: datetime,
    options: RetrainOptions | None = None,
    contracts: Mapping[str, Contract] = CONTRACTS,
    progress: Progress = lambda _title, _total: nullcontext(lambda _: None),
) -> Outcome:
    """Fit a challenger where it is time to, and let it replace the champion where it is better.

    Args:
        lake: Where the records are.
        scenario: What is foretold.
        root: The folder of the scenario's runs.
        registry: Where champion and challenger are.
        now: The moment of the decision.
        options: What is asked for.
        contracts: The tables there are, a user's own among them.
        progress: Opens progress bars.

    Raises:
        FitError: The data does not allow a model, and why.
        RegistryError: The tracker failed; run it again, it goes on.
        LakeMissingError: A version that an unfinished run was begun on is gone.
    """
    asked = options or RetrainOptions()
    runs = root / FOLDER
    with locked(runs / "lock") as holder:
        if holder is not None:
            return Outcome("busy", runs, note=holder)
        found = promotion.champion_of(registry, scenario.id)
        journal = _journal(runs, scenario, lake, asked, found, now=now)
        champion = None if found is None else _champion(registry, found, journal)
        work = _Work(
            lake, scenario, root, registry, now, asked, contracts, progress, journal, champion
        )
        try:
            return work.run()
        except (LakeMissingError, FitError) as error:
            # The next one begins anew, on the lake of its day.
            journal.end({"ending": "failed", "error": str(error)})
            raise


def _journal(
    runs: Path,
    scenario: Scenario,
    lake: Lake,
    options: RetrainOptions,
    champion: Registered | None,
    *,
    now: datetime,
) -> Journal:
    """Go on with the run that was begun, unless somebody promoted another model meanwhile."""
    about: Json = {
        "scenario": scenario.id,
        "scenario_digest": scenario.digest,
        "at_rows": options.at or "",
        "regrow": options.regrow,
        "trials": options.trials,
        "limits": options.limits.model_dump(mode="json"),
        "drift_limits": asdict(options.drift_limits),
        "versions": of_records(lake.versions()),
    }
    journal = Journal.open(runs, about, now=now)
    compared = journal.result("compare")
    if compared is None or journal.result("promote") is not None:
        return journal
    in_force = None if champion is None else champion.digest
    if in_force in {compared["champion"], compared["challenger"]}:
        return journal
    journal.end({"ending": "superseded"})
    return Journal.open(runs, about, now=now)


def _champion(registry: Registry, found: Registered, journal: Journal) -> Bundle | None:
    """Fetch the champion, unless it is this run's own challenger, promoted already."""
    compared = journal.result("compare")
    if compared is not None and compared["challenger"] == found.digest:
        return None
    return registry.load(found.scenario, found.version)


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    lake: Lake
    scenario: Scenario
    root: Path
    registry: Registry
    now: datetime
    options: RetrainOptions
    contracts: Mapping[str, Contract]
    progress: Progress
    journal: Journal
    champion: Bundle | None

    def run(self) -> Outcome:
        drifted = self._once("drift", self._drift)
        reasons = "；".join(cast("list[str]", drifted["reasons"]))
        if self.options.if_drifted and not drifted["drifted"]:
            return self._end("steady")
        if self._once("window", self._window)["test_from"] is None:
            return self._end("nothing_new", note=reasons)
        self._once("fit", self._fit)
        self._once("compare", self._compare)
        verdict = Verdict.from_json(json.dumps(self._once("verdict", self._verdict)))
        (self.journal.folder / "verdict.md").write_text(verdict.to_markdown(), encoding="utf-8")
        ending: Ending = "promoted" if verdict.promoted else "kept"
        if self.options.dry_run:
            return Outcome(ending, self.journal.folder, verdict, note=reasons)
        self._once("register", self._register)
        self._once("promote", lambda: self._promote(verdict))
        self._once("record", lambda: self._record(verdict))
        return self._end(ending, verdict=verdict, version=self._version, note=reasons)

    def _once(self, step: str, do: Callable[[], Json]) -> Json:
        result = self.journal.result(step)
        if result is None:
            result = self.journal.finish(step, do())
            logger(__name__).info("step done", scenario=self.scenario.id, step=step)
        return result

    def _end(
        self,
        ending: Ending,
        *,
        verdict: Verdict | None = None,
        version: Registered | None = None,
        note: str = "",
    ) -> Outcome:
        self.journal.end({"ending": ending})
        return Outcome(ending, self.journal.folder, verdict, version, note)

    @property
    def _versions(self) -> Mapping[str, int]:
        return cast("Mapping[str, int]", self.journal.begun["versions"])

    @property
    def _at(self) -> At:
        return self.options.at or cast("At", self._usual("at", "snapshots"))

    @property
    def _regrow(self) -> bool:
        asked = self.options.regrow
        return bool(self._usual("regrow", default=False) if asked is None else asked)

    def _usual(self, name: str, default: object) -> object:
        """Return how the champion was fitted."""
        return (
            default if self.champion is None else self.champion.manifest.params.get(name, default)
        )

    @property
    def _run(self) -> Path:
        return self.root / str((self.journal.result("fit") or {})["run"])

    @property
    def _version(self) -> Registered:
        number = cast("int", (self.journal.result("register") or {})["version"])
        return self.registry.find(self.scenario.id, number)

    def _drift(self) -> Json:
        if self.champion is None:
            return {"drifted": True, "reasons": ["尚无现用模型"]}
        watched = Watched(
            self.lake, self._versions, self.journal.folder / "watch", self._at, self.contracts
        )
        run = run_of(self.root, self.champion.digest)
        try:
            return watch(
                self.champion, watched, run=run, limits=self.options.drift_limits
            ).to_json()
        except BundleError as error:
            return {"drifted": True, "reasons": [f"现用模型的特征已无法构建：{error}"]}

    def _window(self) -> Json:
        begin = test_from(self._matrix(self._versions), self.champion)
        return {"test_from": None if begin is None else begin.isoformat()}

    def _fit(self) -> Json:
        begin = date.fromisoformat(str((self.journal.result("window") or {})["test_from"]))
        options = Options(
            at=self._at,
            test_from=begin,
            regrow=self._regrow,
            trials=self.options.trials,
            threads=self.options.threads,
        )
        since = datetime.fromisoformat(str(self.journal.begun["at"]))
        asked = {"scenario": self.scenario.digest, **options.asked()}
        folder = done_run(self.root, asked, since=since)
        if folder is None:
            folder = fit_run(
                self.lake,
                self.scenario,
                self.root,
                options=options,
                contracts=self.contracts,
                progress=self.progress,
            ).folder
        return {"run": folder.name}

    def _compare(self) -> Json:
        challenger = Bundle.load(self._run / BUNDLE)
        if self.champion is None:
            frame, moved = first_model(self._run), None
        else:
            frame = self._both(challenger, self.champion)
            moved = moved_grades(frame, self.scenario)
        judged = evaluate(
            frame,
            self.scenario,
            seed=self.options.seed,
            resamples=self.options.resamples,
            model=MAIN if self.champion is None else CHALLENGER,
        )
        self._keep(judged, frame)
        return {
            "challenger": challenger.digest,
            "champion": None if self.champion is None else self.champion.digest,
            "moved": moved,
        }

    def _both(self, challenger: Bundle, champion: Bundle) -> pl.DataFrame:
        versions = challenger.manifest.data_versions
        matrix = champion_matrix(
            self.lake,
            self._matrix(versions),
            champion,
            self.journal.folder / "champion",
            contracts=self.contracts,
        )
        return both(self._run, matrix, challenger, champion, begin=unseen_from(champion, self._at))

    def _keep(self, judged: Evaluation, frame: pl.DataFrame) -> None:
        folder = self.journal.folder
        frame.write_parquet(folder / "compared.parquet")
        (folder / EVALUATION).write_text(judged.to_json(), encoding="utf-8")
        if self.champion is None and not (self._run / EVALUATION).exists():
            (self._run / EVALUATION).write_text(judged.to_json(), encoding="utf-8")

    def _verdict(self) -> Json:
        compared = self.journal.result("compare") or {}
        judged = Evaluation.from_json((self.journal.folder / EVALUATION).read_bytes())
        frame = pl.read_parquet(self.journal.folder / "compared.parquet")
        verdict = judge(
            judged,
            challenger=str(compared["challenger"]),
            champion=cast("str | None", compared["champion"]),
            decided_at=self.now.astimezone(UTC).replace(microsecond=0),
            champion_fairness=() if self.champion is None else self._fairness(judged, frame),
            moved=cast("float | None", compared["moved"]),
            logged=estimated(frame, judged),
            limits=self.options.limits,
        )
        return cast("Json", json.loads(verdict.to_json()))

    def _fairness(self, judged: Evaluation, frame: pl.DataFrame) -> tuple[Fairness, ...]:
        return fairness(
            frame,
            CHAMPION,
            share=judged.pooled.capacity,
            weight="weight" if judged.weighting == "ipw" else None,
            seed=self.options.seed,
            resamples=self.options.resamples,
        )

    def _register(self) -> Json:
        return {"version": self.registry.register(self._run).version}

    def _promote(self, verdict: Verdict) -> Json:
        return {"aliases": list(promotion.apply(self.registry, self._version, verdict).aliases)}

    def _record(self, verdict: Verdict) -> Json:
        promotion.record(self.lake, self._version, verdict)
        return {}

    def _matrix(self, versions: Mapping[str, int]) -> Matrix:
        """Return the matrix at some versions: the one that a fit at these shares."""
        place = Place(self.root / FOLDER, versions, resumed=False)
        work = place.matrix(declaration_digest(self.scenario), self._at)
        with waited(work), self.progress("样本", 4 * self.lake.buckets) as advance:
            return build_matrix(
                self.lake,
                self.scenario,
                work,
                at=self._at,
                versions=versions,
                contracts=self.contracts,
                advance=advance,
            )
