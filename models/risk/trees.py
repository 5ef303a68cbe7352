"""Whether a text is a LightGBM model that can be applied.

LightGBM believes the text: a child that points outside the tree, or a list that is too short, ends
the process rather than in an error. So the text is looked through before LightGBM sees it. The
format is that of ``GBDT::SaveModelToString`` and ``Tree::ToString``.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from models.errors import BundleError
from models.risk.encode import shown

_LINE: Final = re.compile(r"(\w+)(?:=(.*))?", re.ASCII)
_INTEGER: Final = re.compile(r"-?[0-9]{1,10}")
_DECIMAL: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")
_HEAD: Final = frozenset(
    {
        *("tree", "version", "num_class", "num_tree_per_iteration", "label_index"),
        *("max_feature_idx", "objective", "average_output", "feature_names"),
        *("monotone_constraints", "feature_infos", "tree_sizes"),
    }
)
_FIRST: Final = "\nTree=0\n"
_LAST: Final = "\nend of trees\n"
_BY_SPLIT: Final = (
    *("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child"),
    *("internal_value", "internal_weight", "internal_count"),
)
_BY_LEAF: Final = ("leaf_value", "leaf_weight", "leaf_count")
_OTHER: Final = (
    "num_leaves",
    "num_cat",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "shrinkage",
)
_TREE: Final = frozenset((*_BY_SPLIT, *_BY_LEAF, *_OTHER))
_WHOLE: Final = frozenset(
    {
        *("split_feature", "decision_type", "left_child", "right_child"),
        *("internal_count", "leaf_count", "cat_boundaries", "cat_threshold"),
        *("num_leaves", "num_cat", "is_linear"),
    }
)
"""What holds whole numbers; the others are decimals."""
_CATEGORY: Final = 1
"""The bit of ``decision_type`` that tells a split on categories."""


def check(text: str, features: Sequence[str]) -> None:
    """Raise :class:`BundleError` for a text that is not a sound binary booster of ``features``."""
    head, found, rest = text.partition(_FIRST)
    body, ended, _ = rest.partition(_LAST)
    said = _lines(head)
    whole = head.startswith("tree\n") and found and ended and "\0" not in text
    if not (whole and _HEAD.issuperset(said)):
        raise BundleError("the text is no LightGBM model with trees; fit it again")
    _check_objective(said)
    _check_names(said, features)
    if said.get("max_feature_idx") != str(len(features) - 1):
        raise BundleError("the booster's max_feature_idx is not that of its features; restore it")
    trees = re.split(r"^Tree=", found.lstrip() + body + "\n", flags=re.MULTILINE)[1:]
    _check_sizes(said.get("tree_sizes", ""), trees)
    for number, tree in enumerate(trees):
        try:
            sound = _is_sound(number, tree, len(features))
        except (ValueError, KeyError, IndexError):
            sound = False
        if not sound:
            raise BundleError(f"tree {number} of the booster is damaged; restore the booster")


def _lines(text: str) -> dict[str, str]:
    """Return what the lines say; a line that says nothing, or again, becomes one of no name."""
    said: dict[str, str] = {}
    for line in filter(None, text.split("\n")):
        match = _LINE.fullmatch(line)
        name = match[1] if match else ""
        said["" if name in said else name] = match[2] or "" if match else line
    return said


def _check_objective(said: Mapping[str, str]) -> None:
    objective = said.get("objective", "none")
    single = said.get("num_class") == said.get("num_tree_per_iteration") == "1"
    binary = objective.split() in (["binary"], ["binary", "sigmoid:1"])
    if not (binary and single) or "average_output" in said:
        raise BundleError(
            f"a booster of the objective '{objective}'; only boosted trees of 'binary' with "
            "sigmoid 1 give log-odds"
        )


def _check_names(said: Mapping[str, str], features: Sequence[str]) -> None:
    names = said.get("feature_names", "").split()
    plain = [re.sub(r"\s", "_", name) for name in features]
    if names not in (plain, [f"Column_{i}" for i in range(len(features))]):
        different = sorted(set(names) ^ set(plain)) or ["their order"]
        raise BundleError(
            f"the booster was fitted on {len(names)} features and is to read {len(features)}; "
            f"they differ in {shown(different)}"
        )


def _check_sizes(sizes: str, trees: Sequence[str]) -> None:
    """Hold LightGBM's table of where each tree begins against where it does."""
    lengths = [len(f"Tree={tree}".encode()) for tree in trees]
    begins = [0, *accumulate(lengths)]
    try:
        said = [0, *accumulate(map(int, sizes.split()))]
    except ValueError:
        said = []
    if said != begins:
        raise BundleError("the booster's tree_sizes are not those of its trees; restore it")


def _is_sound(number: int, tree: str, features: int) -> bool:
    place, _, rest = tree.partition("\n")
    said = _lines(rest)
    lines = "\n" + rest.rstrip("\n")
    gap = "\n\n" in lines or not rest.endswith("\n\n")  # LightGBM reads up to a gap
    if place != str(number) or gap or not _TREE.issuperset(said):
        return False
    # a threshold of inf parts the missing from all others
    said["threshold"] = said.get("threshold", "").replace("inf", f"{sys.float_info.max!r}")
    numbers = {name: _numbers(said.get(name, ""), whole=name in _WHOLE) for name in _TREE}
    [leaves], [categories] = numbers["num_leaves"], numbers["num_cat"]
    if numbers["is_linear"] != [0] or len(numbers["shrinkage"]) != 1 or leaves < 1:
        return False
    if leaves == 1:
        return len(numbers["leaf_value"]) == 1 and categories == 0
    return (
        all(len(numbers[name]) == leaves - 1 for name in _BY_SPLIT)
        and all(len(numbers[name]) == leaves for name in _BY_LEAF)
        and min(numbers["internal_count"]) > 0  # contributions divide by it
        and all(0 <= feature < features for feature in numbers["split_feature"])
        and _is_one_tree(numbers["left_child"], numbers["right_child"])
        and _are_categories(numbers, categories)
    )


def _numbers(value: str, *, whole: bool) -> list[float]:
    """Return the finite numbers of a list; ``ValueError`` for what LightGBM would trip over."""
    words = value.split(" ") if value else []
    form = _INTEGER if whole else _DECIMAL
    numbers = [float(word) for word in words if form.fullmatch(word)]
    if len(numbers) < len(words) or not all(map(math.isfinite, numbers)):
        raise ValueError(value)
    return numbers


def _is_one_tree(left: Sequence[float], right: Sequence[float]) -> bool:
    """Tell whether every split but the first, and every leaf (~i), is the child of one before."""
    children = sorted((*left, *right))
    later = all(
        child < 0 or child > i
        for i, pair in enumerate(zip(left, right, strict=True))
        for child in pair
    )
    return later and children == [*range(-len(left) - 1, 0), *range(1, len(left))]


def _are_categories(numbers: Mapping[str, Sequence[float]], categories: float) -> bool:
    """Tell whether each split on categories has a bit set of its own."""
    thresholds = zip(numbers["decision_type"], numbers["threshold"], strict=True)
    places = [threshold for kind, threshold in thresholds if int(kind) & _CATEGORY]
    bounds, words = numbers["cat_boundaries"], numbers["cat_threshold"]
    if not categories:
        return not (places or bounds or words)
    rising = sorted(set(bounds)) == bounds and bounds[0] == 0 and bounds[-1] == len(words)
    known = set(range(len(bounds) - 1))
    return rising and len(bounds) == categories + 1 and known.issuperset(places)
