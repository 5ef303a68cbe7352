"""Command lines, parsed as the commands themselves parse them, with nothing run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import import_module

import typer
from typer.core import TyperGroup

from xinjian.cli import GROUPS


def parse(words: Sequence[str]) -> str:
    """Parse the words after ``xinjian`` and return the command's name; raise where it cannot."""
    group, *rest = words
    targets = [one.target for one in GROUPS if one.name == group]
    assert targets, f"xinjian has no group {group}"
    module, attribute = targets[0].split(":")
    found = typer.main.get_command(getattr(import_module(module), attribute))
    while isinstance(found, TyperGroup):
        name, *rest = rest
        assert name in found.commands, f"xinjian {group} has no command {name}"
        found = found.commands[name]
    return str(found.make_context(found.name, list(rest)).command.name)


def spoken(line: str) -> list[list[str]]:
    """Return the words after each ``xinjian`` in a line of shell; comments say none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [place for place, word in enumerate(words) if set(word) <= set(";|&<>()")]
    starts = [place + 1 for place, word in enumerate(words) if word == "xinjian"]
    return [words[one : min((e for e in ends if e >= one), default=len(words))] for one in starts]
