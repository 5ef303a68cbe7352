"""Command lines, parsed as the commands themselves parse them, with nothing run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import import_module
from typing import TypeAlias, cast

import typer
from typer.core import TyperCommand, TyperGroup

from xinjian.cli import GROUPS

Command: TypeAlias = TyperCommand | TyperGroup


def found(words: Sequence[str]) -> tuple[Command, list[str]]:
    """Return the command that the words after ``xinjian`` name, a group maybe, and the rest."""
    group, rest = words[0], list(words[1:])
    targets = [one.target for one in GROUPS if one.name == group]
    assert targets, f"xinjian has no group {group}"
    module, attribute = targets[0].split(":")
    command = cast("Command", typer.main.get_command(getattr(import_module(module), attribute)))
    while isinstance(command, TyperGroup) and rest:
        name = rest.pop(0)
        assert name in command.commands, f"xinjian {group} has no command {name}"
        command = cast("Command", command.commands[name])
    return command, rest


def parse(words: Sequence[str]) -> str:
    """Parse the words after ``xinjian`` and return the command's name; raise where it cannot."""
    command, rest = found(words)
    assert not isinstance(command, TyperGroup), f"xinjian {' '.join(words)} names a group"
    return str(command.make_context(command.name, rest).command.name)


def spoken(line: str) -> list[list[str]]:
    """Return the words after each ``xinjian`` in a line of shell; comments say none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    ends = [place for place, word in enumerate(words) if set(word) <= set(";|&<>()")]
    starts = [place + 1 for place, word in enumerate(words) if word == "xinjian"]
    return [words[one : min((e for e in ends if e >= one), default=len(words))] for one in starts]
