# ruff: noqa: B905, T201
# It prints what it finds, and runs under Pythons older than the rest of the project.
"""Check the teams of a draw with nothing but Python.

    python standalone_teams.py RECORD INSPECTORS TASKS [CONFLICTS [LEAVE]]

RECORD is the JSON record of an assignment, the others the CSV files that it was made from (lists
are written ``a;b``). All of them stay in the office, as they name people; whoever may see them, an
auditor say, computes the teams again, recusals included. This file imports only the standard
library and nothing of Xinjian; it follows SPECIFICATION.md, section 7. It exits with 0 when
everything holds, 1 when something does not, 2 when a file cannot be read.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import deque
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, cast

MANY = 1 << 40
MASK = (1 << 64) - 1
PERSON = ("inspector_id", "certificate", "valid_from", "valid_until", "matters", "regions",
          "capacity")  # fmt: skip
TASK = ("task_id", "subject_id", "matters", "region", "starts", "ends", "last_team")
LISTS = ("matters", "regions", "last_team")


class Row(NamedTuple):
    """A line of a file by heading."""

    cells: dict[str, str | int | list[str] | None]


class Search(NamedTuple):
    """Who was reached, by which move (task, who would leave it), and who can take one more."""

    moves: dict[int, tuple[int, int]]
    reached: set[int]
    end: int | None


def rows(path: Path, names: tuple[str, ...]) -> list[Row]:
    """Return the lines of a CSV file; a heading that is not there is empty."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [Row({name: cell(name, line.get(name)) for name in names})
                for line in csv.DictReader(file)]  # fmt: skip


def cell(name: str, text: str | None) -> str | int | list[str] | None:
    """Return what a cell says."""
    if not text:
        return None
    if name in LISTS:
        return [part for part in map(str.strip, text.split(";")) if part]
    return int(text) if name == "capacity" else text


def digest(lines: list[Row]) -> str:
    """Return the SHA-256 of rows as lines of JSON."""
    text = "".join(
        json.dumps(row.cells, ensure_ascii=False, separators=(",", ":")) + "\n" for row in lines
    )
    return sha256(text.encode()).hexdigest()


def listed(row: Row, name: str) -> list[str]:
    """Return a list of a row, empty where there is none."""
    return cast("list[str]", row.cells[name] or [])


def text_of(row: Row, name: str) -> str:
    """Return a text of a row, empty where there is none."""
    return cast("str", row.cells[name] or "")


def bits(seed: str, text: str) -> int:
    """Return the first 64 bits of SHA-256(seed, text)."""
    return int.from_bytes(sha256((seed + text).encode()).digest()[:8], "big")


def pair_key(task: int, person: int) -> int:
    """Return the random key of a pair: splitmix64's finaliser, shifted by one."""
    z = task ^ person
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return (z ^ (z >> 31)) >> 1


class Board:
    """Teams as they are being made: who may go where, who is where, and how many each has."""

    def __init__(self, seed: str, size: int, people: list[Row], tasks: list[Row],
                 conflicts: list[Row], leave: list[Row]) -> None:  # fmt: skip
        """Take the inspectors and tasks, each sorted by id."""
        self.size, self.people, self.tasks, self.leave = size, people, tasks, leave
        self.ids = [text_of(row, "inspector_id") for row in people]
        self.names = [text_of(row, "task_id") for row in tasks]
        place = {name: at for at, name in enumerate(self.ids)}
        self.bits = [bits(seed, ",inspector," + name) for name in self.ids]
        self.task_bits = [bits(seed, ",task," + name) for name in self.names]
        self.room = [MANY if (room := row.cells["capacity"]) is None else cast("int", room)
                     for row in people]  # fmt: skip
        self.last = [{place[one] for one in listed(row, "last_team") if one in place}
                     for row in tasks]  # fmt: skip
        away: dict[str, set[int]] = {}
        for row in conflicts:
            away.setdefault(text_of(row, "subject_id"), set()).add(
                place[text_of(row, "inspector_id")]
            )
        self.barred = [set(away.get(text_of(row, "subject_id"), ())) for row in tasks]
        kinds: dict[str, list[int]] = {}
        self.able: list[list[int]] = []
        for row in tasks:
            wanted = ("matters", "region", "starts", "ends")
            kind = json.dumps([row.cells[name] for name in wanted])
            if kind not in kinds:
                kinds[kind] = [at for at in range(len(people)) if self.meets(at, row)]
            self.able.append(kinds[kind])
        self.teams: list[list[int]] = [[] for _ in tasks]
        self.load = [0] * len(people)
        self.held: list[set[int]] = [set() for _ in people]

    def meets(self, at: int, task: Row) -> bool:
        """Tell whether an inspector meets all that does not concern the single target."""
        row = self.people[at]
        starts, ends = text_of(task, "starts"), text_of(task, "ends")
        region, own = text_of(task, "region"), listed(row, "regions")
        valid = row.cells["certificate"] is not None and text_of(row, "valid_until") >= ends
        absent = any(
            text_of(one, "inspector_id") == self.ids[at]
            and text_of(one, "starts") <= ends
            and text_of(one, "ends") >= starts
            for one in self.leave
        )
        return (
            valid
            and text_of(row, "valid_from") <= starts
            and set(listed(task, "matters")) <= set(listed(row, "matters"))
            and (not region or not own or any(region.startswith(one) for one in own))
            and not absent
        )

    def takers(self, task: int, leaving: int) -> list[int]:
        """Return who could join a task if ``leaving`` left it."""
        team = set(self.teams[task])
        out = self.barred[task] | team
        if len((team - {leaving}) & self.last[task]) >= self.size - 1:
            out = out | self.last[task]
        return [one for one in self.able[task] if one not in out]

    def greedy(self) -> None:
        """Fill teams one task after another, the least loaded first, at random among equals."""
        for task in self.order():
            for _ in range(self.size):
                found = [
                    (self.load[one], pair_key(self.task_bits[task], self.bits[one]), one)
                    for one in self.takers(task, -1)
                    if self.load[one] < self.room[one]
                ]
                if not found:
                    break
                self.join(task, min(found)[2])

    def order(self) -> list[int]:
        """Return the tasks in the order of their bits."""
        return sorted(range(len(self.tasks)), key=lambda at: self.task_bits[at])

    def join(self, task: int, person: int, leaving: int = -1) -> None:
        """Let a person join a task, in the place of another or an empty one."""
        if leaving >= 0:
            self.teams[task].remove(leaving)
            self.held[leaving].discard(task)
            self.load[leaving] -= 1
        self.teams[task].append(person)
        self.held[person].add(task)
        self.load[person] += 1

    def search(self, starts: list[tuple[int, int]], reached: set[int], most: int) -> Search:
        """Search in breadth for somebody who can take one task more."""
        moves: dict[int, tuple[int, int]] = {}
        queue = deque(starts)
        while queue:
            task, leaving = queue.popleft()
            new = sorted(
                (self.load[one], pair_key(self.task_bits[task], self.bits[one]), one)
                for one in self.takers(task, leaving)
                if one not in reached
            )
            people = [one for _, _, one in new]
            reached.update(people)
            moves.update(dict.fromkeys(people, (task, leaving)))
            for one in people:
                if self.load[one] < self.room[one] and self.load[one] <= most:
                    return Search(moves, reached, one)
            for one in people:
                queue.extend((held, one) for held in sorted(self.held[one]))
        return Search(moves, reached, None)

    def move(self, found: Search) -> set[int]:
        """Make the moves that led to the end; return the tasks that they changed."""
        touched: set[int] = set()
        person = cast("int", found.end)
        while person in found.moves:
            task, leaving = found.moves[person]
            self.join(task, person, leaving)
            touched.add(task)
            person = leaving
        return touched

    def fill(self, task: int) -> None:
        """Fill an empty place with the fewest other changes; ValueError where nobody can."""
        found = self.search([(task, -1)], set(), MANY)
        if found.end is None:
            raise ValueError(f"no team can be made for task {self.names[task]}")
        self.move(found)

    def even_out(self) -> None:
        """Move tasks until nobody can be relieved by somebody who has two fewer."""
        settled: set[int] = set()
        while self.load:
            least = min(self.load) + 2
            loads = [-1 if at in settled or load < least else load
                     for at, load in enumerate(self.load)]  # fmt: skip
            person = loads.index(max(loads))
            if loads[person] < 0:
                return
            starts = [(task, person) for task in sorted(self.held[person])]
            found = self.search(starts, {person}, self.load[person] - 2)
            if found.end is None:
                settled |= found.reached
                continue
            touched = self.move(found)
            if settled & {found.end, *(one for task in touched for one in self.teams[task])}:
                settled.clear()

    def named(self) -> dict[str, list[str]]:
        """Return the teams by id."""
        return {name: sorted(self.ids[one] for one in team)
                for name, team in zip(self.names, self.teams)}  # fmt: skip


def made_again(
    board: Board, recusals: list[dict[str, str]]
) -> tuple[dict[str, list[str]], list[tuple[str, str, str, int]]]:
    """Return the teams after all recusals, and each change (task, who left, who joined, cause)."""
    board.greedy()
    for task in board.order():
        for _ in range(board.size - len(board.teams[task])):
            board.fill(task)
    board.even_out()
    changes: list[tuple[str, str, str, int]] = []
    for cause, one in enumerate(recusals):
        before = board.named()
        task, person = board.names.index(one["task_id"]), board.ids.index(one["inspector_id"])
        if person not in board.teams[task] or not one["reason"].strip():
            raise ValueError(f"recusal {cause}: the inspector is not on the task, or no reason")
        board.barred[task].add(person)
        board.teams[task].remove(person)
        board.held[person].discard(task)
        board.load[person] -= 1
        board.fill(task)
        for name, team in board.named().items():
            left, joined = set(before[name]) - set(team), set(team) - set(before[name])
            changes += [(name, out, into, cause) for out, into in zip(left, joined)]
    return board.named(), changes


def troubles(record: dict[str, object], files: list[list[Row]]) -> list[str]:
    """Return everything that does not hold."""
    people, tasks, conflicts, leave = files
    found: list[str] = []
    digests = (digest(people), digest(conflicts), digest(leave))
    if sha256("".join(digests).encode()).hexdigest() != record["inspectors"]:
        found.append("the inspectors, conflicts or leave are not those that were used")
    if digest(tasks) != record["tasks"]:
        found.append("the tasks are not those that were used")
    board = Board(cast("str", record["seed"]), cast("int", record["size"]), *files)
    teams, changes = made_again(board, cast("list[dict[str, str]]", record["recusals"]))
    said = {cast("str", one["task_id"]): sorted(cast("list[str]", one["inspectors"]))
            for one in cast("list[dict[str, object]]", record["teams"])}  # fmt: skip
    apart = sorted(name for name in {*teams, *said} if teams.get(name) != said.get(name))
    if apart:
        found.append(f"{len(apart)} tasks have other teams, the first {apart[0]}")
    told = [(one["task_id"], one["left"], one["joined"], one["cause"])
            for one in cast("list[dict[str, object]]", record["changes"])]  # fmt: skip
    if sorted(map(str, told)) != sorted(map(str, changes)):
        found.append("the changes after recusals are others")
    pairs = [Row({"task_id": name, "inspector_id": one}) for name in sorted(teams, key=str.encode)
             for one in sorted(teams[name], key=str.encode)]  # fmt: skip
    if digest(pairs) != record["result"]:
        found.append("the digest of the teams is another")
    return found


def read(paths: list[Path]) -> list[list[Row]]:
    """Return inspectors, tasks, conflicts and leave, sorted, each once."""
    kinds = (PERSON, TASK, ("inspector_id", "subject_id"), ("inspector_id", "starts", "ends"))
    files: list[list[Row]] = []
    for at, names in enumerate(kinds):
        given = rows(paths[at], names) if at < len(paths) else []
        ordered = {tuple(str(row.cells[n]).encode() for n in names): row for row in given}
        files.append([ordered[key] for key in sorted(ordered)])
    for row in files[1]:
        for name in ("matters", "last_team"):
            if row.cells[name] is not None:
                row.cells[name] = sorted(set(listed(row, name)), key=str.encode)
    return files


def main(arguments: list[str]) -> int:
    """Check the files named on the command line and say what was found."""
    if not 3 <= len(arguments) <= 5:
        print(__doc__)
        return 2
    try:
        record = cast("dict[str, object]", json.loads(Path(arguments[0]).read_text("utf-8")))
        found = troubles(record, read([Path(one) for one in arguments[1:]]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        print(f"cannot be read: {type(error).__name__}: {error}")
        return 2
    for one in found:
        print(f"WRONG  {one}")
    if not found:
        print(f"OK     {len(cast('list[object]', record['teams']))} teams as the seed gives them")
        print(f"NOTE   the seed must be that of the draw: {record['seed']}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
