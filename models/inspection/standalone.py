# ruff: noqa: B905, FURB162, T201, UP013, UP014
# It prints what it finds, and runs under Pythons older than the rest of the project.
"""Check a Xinjian draw with nothing but Python: python standalone.py RECORD [POOL [SUBJECT]].

RECORD is the published JSON record of a draw, POOL the published pool (``pool.txt`` beside the
record by default). With SUBJECT, the draw's arithmetic for that subject is shown too. This file
imports only the standard library and nothing of Xinjian; it follows SPECIFICATION.md and shares no
code with the program that drew. It exits with 0 when everything holds, 1 when something does not,
2 when a file cannot be read.
"""

from __future__ import annotations

import json
import math
import re
import sys
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

GRID, TOLERANCE, NEAR, VERSION = 10**12, 1e-9, 0.5, "xinjian-draw-v1"
MOST_WORK = 6e7
"""Additions beyond which a stratum's inclusion probabilities are compared with the targets only."""
ODD = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
INSTANT = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T[0-9:]{8}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")


class Commitment(TypedDict):
    """What was published of the pool."""

    version: str
    plan: str
    commitment: str
    subjects: int
    frozen_at: str
    sources: list[str]


Entropy = TypedDict(
    "Entropy", {"source": str, "value": str, "published_at": str, "digest": "str | None"}
)
"""A public value."""
Seed = TypedDict("Seed", {"commitment": Commitment, "entropy": "list[Entropy]", "seed": str})
"""The seed and what it was made of."""
Summary = TypedDict(
    "Summary", {"stratum": str, "size": int, "mandatory": int, "n": int, "design": str}
)
"""How a stratum was drawn."""


class Listed(TypedDict):
    """A drawn subject as the record lists it."""

    subject_id: str
    stratum: str
    u: float
    key: float | None
    inclusion_probability: float


Record = TypedDict(
    "Record", {"seed": Seed, "strata": "list[Summary]", "drawn": "list[Listed]", "result": str}
)
"""The published record."""
Row = NamedTuple("Row", [("place", int), ("subject", str), ("units", int)])
"""One subject of the pool."""


class Drawn(NamedTuple):
    """What the seed makes of a drawn subject; the stated probability may be ``off`` so much."""

    place: int
    subject: str
    u: float
    key: float | None
    probability: float
    off: float


Stratum = NamedTuple("Stratum", [("summary", Summary), ("drawn", "list[Drawn]")])
"""A stratum drawn again."""


def pool_rows(content: bytes) -> dict[str, list[Row]]:
    """Return the pool's rows by stratum; ValueError for a file that is not canonical."""
    lines = content.decode("utf-8").split("\n")
    if lines.pop() != "":
        raise ValueError("the pool's last line is not ended by LF")
    strata: dict[str, list[Row]] = {}
    before = b""
    seen: set[str] = set()
    for place, line in enumerate(lines):
        subject, stratum, pi = line.split(",")
        units = round(float(pi) * GRID)
        if f"{units // GRID}.{units % GRID:012d}" != pi or not 0 < units <= GRID:
            raise ValueError(f"line {place + 1} of the pool: {pi} is no probability")
        trimmed = subject == subject.strip() and stratum == stratum.strip()
        if line.encode() <= before or subject in seen or not (trimmed and plain(subject, stratum)):
            raise ValueError(f"line {place + 1} of the pool is not in its place, or stands twice")
        before = line.encode()
        seen.add(subject)
        strata.setdefault(stratum, []).append(Row(place, subject, units))
    return strata


def plain(*texts: str) -> bool:
    """Tell whether each text is one line without control characters."""
    return not any(ODD.search(text) or not text for text in texts)


def uniform(seed: str, subject: str) -> float:
    """Return the first 53 bits of SHA-256(seed, subject) as a fraction."""
    return (int.from_bytes(sha256((seed + subject).encode()).digest()[:8], "big") >> 11) / 2**53


def pareto_key(u: float, pi: float) -> float:
    """Return Pareto's key: five operations, each rounded to binary64."""
    return (u / (1 - u)) / (pi / (1 - pi))


def draw_stratum(name: str, rows: list[Row], seed: str) -> Stratum:
    """Draw a stratum again."""
    others = [row for row in rows if row.units < GRID]
    n = (sum(row.units for row in others) + GRID // 2) // GRID
    off = sum(row.units for row in others) - n * GRID
    if others and (abs(off) > len(others) + 1000 or not 0 < n < len(others)):
        raise ValueError(f"stratum {name}: the probabilities do not sum to a number to draw")
    kinds = {row.units for row in others}
    design = "census" if not others else "equal" if len(kinds) == 1 else "pareto"
    keyed: list[tuple[float, int, Row, float]] = []
    for row in others:
        u = uniform(seed, row.subject)
        key = u if design == "equal" else pareto_key(u, row.units / GRID)
        keyed.append((key, row.place, row, u))
    keyed.sort(key=lambda one: one[:2])
    chances = inclusion([row.units / GRID for row in others], n) if design == "pareto" else {}
    equal = n / len(others) if others else 1.0
    square = max(sum(row.units / GRID * (1 - row.units / GRID) for row in others) ** 2, 0.25)
    drawn: list[Drawn] = []
    for key, place, row, u in keyed[:n]:
        pi = row.units / GRID
        true = equal if design == "equal" else chances.get(pi, pi)
        off = 0 if design == "equal" or chances else NEAR * pi * (1 - pi) / square
        drawn.append(Drawn(place, row.subject, u, key, true, max(off, TOLERANCE)))
    drawn += [Drawn(row.place, row.subject, uniform(seed, row.subject), None, 1.0, TOLERANCE)
              for row in rows if row.units == GRID]  # fmt: skip
    mandatory = len(rows) - len(others)
    summary = Summary(stratum=name, size=len(rows), mandatory=mandatory, n=n, design=design)
    return Stratum(summary, drawn)


def inclusion(targets: list[float], n: int) -> dict[float, float]:
    """Return the true inclusion probability by target; empty where that is too much work here.

    A subject is drawn when its key is below the n-th smallest key of the others:
    P = integral over x of F(x) g(x), F its own key's distribution at t = exp(x), g the density of
    the others' n-th smallest. g follows from the law of how many of the others are below t.
    """
    variance = sum(v * (1 - v) for v in targets)
    reach = span(targets, n)
    nodes = max(48, math.ceil(2 * reach / 0.4))
    width = min(len(targets), math.ceil(9 * math.sqrt(variance)) + 25)
    if len(targets) ** 2 + len(set(targets)) * nodes * width > MOST_WORK:
        return {}
    counts = counts_below_one(targets)
    grid = [reach * (2 * k / nodes - 1) for k in range(nodes + 1)]
    logs = [sum(log_change(v, x) for v in targets) for x in grid]
    means = [sum(before_time(v, x) for v in targets) for x in grid]
    made: dict[float, float] = {}
    for v in set(targets):
        rest = without(counts, v)
        total = 0.0
        for x, log, mean in zip(grid, logs, means):
            before = before_time(v, x)
            log_rest = log - log_change(v, x)
            total += before * density(rest, n, x, log_rest, mean - before, width)
        made[v] = min(1.0, total * 2 * reach / nodes)
    return made


def density(rest: list[float], n: int, x: float, log: float, mean: float, width: int) -> float:
    """Return the density at x of the logarithm of the others' n-th smallest key."""
    t = math.exp(x)
    total = 0.0
    if x < 0:  # the count's law times (m - mean) sums to 0: either half of it will do
        for m in range(min(len(rest) - 1, n + width), n - 1, -1):
            total = total * t + rest[m] * (m - mean)
        return total * math.exp(n * x - log)
    for m in range(max(0, n - 1 - width), n):
        total = total / t + rest[m] * (mean - m)
    return total * math.exp((n - 1) * x - log)


def before_time(v: float, x: float) -> float:
    """Return the chance that a key of target v is below exp(x)."""
    return v * math.exp(x) / ((1 - v) + v * math.exp(x))


def log_change(v: float, x: float) -> float:
    """Return log(1 - v + v exp(x)) without loss of digits."""
    change = v * math.expm1(x)
    return math.log1p(change) if change > -0.5 else math.log((1 - v) + v * math.exp(x))


def counts_below_one(targets: list[float]) -> list[float]:
    """Return the chances that 0, 1, ... keys are below 1: each is with its target's chance."""
    chances = [1.0]
    for v in targets:
        chances.append(0.0)
        for m in range(len(chances) - 1, 0, -1):
            chances[m] = chances[m] * (1 - v) + chances[m - 1] * v
        chances[0] *= 1 - v
    return chances


def without(chances: list[float], v: float) -> list[float]:
    """Take one key of target v out of the law of the count; from the side that stays exact."""
    size = len(chances) - 1
    rest = [0.0] * size
    if v <= 0.5:
        rest[0] = chances[0] / (1 - v)
        for m in range(1, size):
            rest[m] = (chances[m] - v * rest[m - 1]) / (1 - v)
    else:
        rest[size - 1] = chances[size] / v
        for m in range(size - 2, -1, -1):
            rest[m] = (chances[m + 1] - (1 - v) * rest[m + 1]) / v
    return rest


def span(targets: list[float], n: int) -> float:
    """Return how far from 1 a time must be, as a logarithm, for nothing to be left to chance."""
    reach = 1e-4
    while reach < 200:
        bounds = [n * x - sum(log_change(v, x) for v in targets) for x in (-reach, reach)]
        if max(bounds) < -45:
            break
        reach *= 1.25
    return reach


def seed_of(commitment: Commitment, entropy: list[Entropy]) -> str:
    """Return the seed that the published values give."""
    lines = [VERSION, commitment["plan"], commitment["commitment"]]
    for one in entropy:
        lines += [one["source"], one["value"]]
    return sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def instant(text: str) -> datetime:
    """Read an instant."""
    if not INSTANT.fullmatch(text):
        raise ValueError(f"{text!r} is not written as 2026-01-05T09:00:00+08:00")
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seed_troubles(seed: Seed) -> Iterator[str]:
    """Yield what is wrong with the seed."""
    commitment, entropy = seed["commitment"], seed["entropy"]
    made = seed_of(commitment, entropy)
    if made != seed["seed"]:
        yield f"the published values give the seed {made}, the record says {seed['seed']}"
    sources = [one["source"] for one in entropy]
    names = {" ".join(unicodedata.normalize("NFKC", one).casefold().split()) for one in sources}
    if len(names) < len(entropy) or not entropy:
        yield "there is no public value, or one source stands twice"
    announced = commitment.get("sources", [])
    if announced not in ([], sources):
        yield f"the values are of {sources}, not of those announced: {announced}"
    nonces = [one for one in entropy if one.get("digest") is not None]
    if len(nonces) == len(entropy) == 1 or len({one["digest"] for one in nonces}) < len(nonces):
        yield "one party's nonce alone made the seed, or two parties have the same"
    lines = [commitment["plan"], *(one[k] for one in entropy for k in ("source", "value"))]
    other = commitment.get("version", VERSION) != VERSION
    if other or not plain(*lines) or max(map(len, lines)) > 4096:
        yield "a text that goes into the seed is not one plain line, or the version is another"
    for one in entropy:
        if instant(one["published_at"]) <= instant(commitment["frozen_at"]):
            yield f"the value of {one['source']} was public before the pool was frozen"
    for one in nonces:
        if sha256(one["value"].encode()).hexdigest() != one["digest"]:
            yield f"the nonce of {one['source']} is not the one committed to"


def draw_troubles(record: Record, strata: list[Stratum]) -> Iterator[str]:
    """Yield where the record differs from the draw made again."""
    if not same([one.summary for one in strata], record["strata"]):
        yield "the strata, their sizes or the numbers drawn differ"
    drawn = sorted(one for stratum in strata for one in stratum.drawn)
    names = {row.subject: s.summary["stratum"] for s in strata for row in s.drawn}
    if [one.subject for one in drawn] != [one["subject_id"] for one in record["drawn"]]:
        yield "the list of drawn subjects is another one"
        return
    for one, said in zip(drawn, record["drawn"]):
        stated = said["inclusion_probability"]
        made = Listed(subject_id=one.subject, stratum=names[one.subject], u=one.u, key=one.key,
                      inclusion_probability=stated)  # fmt: skip
        if not same(made, said):
            yield f"{one.subject}: stratum, u or key differ; u is {one.u!r}, the key {one.key!r}"
        apart = abs(one.probability - stated)
        if isinstance(stated, bool) or not 0 < stated <= 1 or apart > one.off:
            yield f"{one.subject}: the probability is {one.probability!r}, not {stated!r}"
    digest = sha256("".join(one.subject + "\n" for one in drawn).encode()).hexdigest()
    if digest != record["result"]:
        yield f"the digest of the result is {digest}"


def same(made: object, said: object) -> bool:
    """Tell whether two values are the same JSON: 1 is not true, and an object has no more keys."""
    return json.dumps(made, sort_keys=True) == json.dumps(said, sort_keys=True)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object in which no key stands twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return dict(pairs)


def keyed(value: object, model: type) -> None:
    """Raise ValueError for an object that has not the fields of model."""
    wanted = set(model.__annotations__)
    found: set[str] = set(cast("dict[str, object]", value)) if isinstance(value, dict) else set()
    if not wanted - {"version", "sources", "digest"} <= found <= wanted:
        raise ValueError(f"{model.__name__} is not an object of {', '.join(sorted(wanted))}")


def parsed(text: str) -> Record:
    """Read a record."""
    record = cast("Record", json.loads(text, object_pairs_hook=once))
    keyed(record, Record)
    keyed(record["seed"], Seed)
    keyed(record["seed"]["commitment"], Commitment)
    for one in record["seed"]["entropy"]:
        keyed(one, Entropy)
    return record


def troubles(record: Record, content: bytes, strata: list[Stratum]) -> Iterator[str]:
    """Yield everything that does not hold."""
    seed = record["seed"]
    digest = sha256(content).hexdigest()
    if digest != seed["commitment"]["commitment"]:
        yield f"the pool's SHA-256 is {digest}, not the one that was committed to"
    if not same(sum(one.summary["size"] for one in strata), seed["commitment"]["subjects"]):
        yield "the pool has not as many subjects as were committed to"
    yield from seed_troubles(seed)
    yield from draw_troubles(record, strata)


def told(record: Record, rows: dict[str, list[Row]], subject: str) -> str:
    """Return the arithmetic of one subject."""
    row = next((r for members in rows.values() for r in members if r.subject == subject), None)
    if row is None:
        return f"{subject} is not in the pool"
    text = record["seed"]["seed"] + subject
    drawn = any(one["subject_id"] == subject for one in record["drawn"])
    return (
        f"{subject}: pi {row.units / GRID!r}\n"
        f"  SHA-256({text})\n  = {sha256(text.encode()).hexdigest()}\n"
        f"  u = {uniform(record['seed']['seed'], subject)!r}; {'drawn' if drawn else 'not drawn'}"
    )


def main(arguments: list[str]) -> int:
    """Check the files named on the command line and say what was found."""
    if not 1 <= len(arguments) <= 3:
        print(__doc__)
        return 2
    path = Path(arguments[0])
    pool = Path(arguments[1]) if len(arguments) > 1 else path.parent / "pool.txt"
    try:
        record = parsed(path.read_text(encoding="utf-8"))
        content = pool.read_bytes()
        rows = pool_rows(content)
        seed = record["seed"]["seed"]
        strata = [draw_stratum(name, rows[name], seed) for name in sorted(rows, key=str.encode)]
        found = list(troubles(record, content, strata))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        print(f"cannot be read: {type(error).__name__}: {error}")
        return 2
    for one in found:
        print(f"WRONG  {one}")
    if not found:
        print(f"OK     {len(record['drawn'])} subjects drawn as the published values say")
        print(f"NOTE   published at the freeze must have been {record['seed']['commitment']}")
    widest = max((one.off for stratum in strata for one in stratum.drawn), default=TOLERANCE)
    if widest > TOLERANCE:
        print(f"NOTE   probabilities of large strata checked to within {widest:.1g} only")
    if len(arguments) == 3:
        print(told(record, rows, arguments[2]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
