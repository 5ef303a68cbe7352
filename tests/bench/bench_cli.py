"""How fast the command answers, against a Python that starts and does nothing."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 10
COMMANDS = {
    "python -c pass (floor)": ["-c", "pass"],
    "xinjian --help": ["-m", "xinjian", "--help"],
    "xinjian --version": ["-m", "xinjian", "--version"],
    "xinjian data --help": ["-m", "xinjian", "data", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """Return the best wall time of some rounds: the rest is what the machine did besides."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        best = min(best, time.perf_counter() - begun)
    return best


def main() -> None:
    """Print the table."""
    measured = {name: seconds(arguments) for name, arguments in COMMANDS.items()}
    floor = next(iter(measured.values()))
    print(f"{'command':<24} {'seconds':>8} {'x floor':>8}")
    for name, taken in measured.items():
        print(f"{name:<24} {taken:>8.3f} {taken / floor:>8.1f}")


if __name__ == "__main__":
    main()
