"""A database that is taken away, and callers who do not stop because of it."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import httpx2
import psutil
from sqlalchemy import text

from serving.ledger import embedded
from serving.ledger.engine import Ledger
from tests.serving.posts import penalty


def processes(server: embedded.Server) -> list[psutil.Process]:
    """Return the processes of a server, the one that starts the others first."""
    pid = int((server.folder / "postmaster.pid").read_text().splitlines()[0])
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def signalled(server: embedded.Server, number: signal.Signals) -> None:
    """Send a signal to a server's processes."""
    found = processes(server)
    for one in found:
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    if number is signal.SIGKILL:
        psutil.wait_procs(found, timeout=10)


@dataclass(frozen=True, slots=True)
class Try:
    """One request: which, its answer's status, when it was answered, and after how long."""

    number: int
    status: int | None
    at: float
    seconds: float
    retry_after: str | None


@dataclass(slots=True)
class Load:
    """Callers who post a record of its own each, again and again, until told to stop."""

    address: str
    headers: dict[str, str]
    callers: int = 6
    tries: list[Try] = field(default_factory=list[Try])
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> Self:
        """Begin."""
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(self.callers)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the last answers."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def acknowledged(self) -> list[int]:
        """Return whose record was answered for."""
        return [one.number for one in list(self.tries) if one.status == 200]

    def until(self, more: int, seconds: float = 60.0) -> float:
        """Wait for so many more that are answered for, and return how long that took."""
        seen, began = len(self.acknowledged), time.monotonic()
        while len(self.acknowledged) < seen + more:
            assert time.monotonic() - began < seconds, Counter(one.status for one in self.tries)
            threading.Event().wait(0.02)
        return time.monotonic() - began

    def send(self, client: httpx2.Client, number: int) -> Try:
        """Post the record of a number under its key."""
        began = time.monotonic()
        try:
            answer = client.post(
                f"{self.address}/v1/records",
                json={"table": "penalty", "rows": [penalty(number)]},
                headers={**self.headers, "Idempotency-Key": f"key-{number}"},
            )
        except httpx2.HTTPError:
            return Try(number, None, time.monotonic(), time.monotonic() - began, None)
        at, after = time.monotonic(), answer.headers.get("Retry-After")
        return Try(number, answer.status_code, at, at - began, after)

    def again(self) -> Counter[int | None]:
        """Send every record that was ever sent once more, and count the answers."""
        with httpx2.Client(timeout=60) as client:
            numbers = sorted({one.number for one in self.tries})
            return Counter(self.send(client, number).status for number in numbers)

    def _call(self, caller: int) -> None:
        number = caller
        with httpx2.Client(timeout=60) as client:
            while not self._ended.is_set():
                done = self.send(client, number)
                self.tries.append(done)
                number += self.callers
                if done.status != 200:
                    self._ended.wait(0.5)


def documents(ledger: Ledger) -> Counter[str]:
    """Return how often each record is in the inbox, by its document's number."""
    asked = text("select record::json ->> 'document_number' from inbox")
    with ledger.begin() as connection:
        return Counter(connection.execute(asked).scalars())
