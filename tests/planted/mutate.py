"""Mutants of one module, made by rule and not by thought: ``python tests/planted/mutate.py MODULE SUITE...``.

Each differs from the module in one place: a comparison, ``and`` for ``or``, a condition negated, a number one higher,
a truth value turned, a call or a ``raise`` left out. A mutant is killed when a test of the suites fails. Prints those
that live. ``--every N`` takes each N-th. Works on a copy of the tree.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

# what every run needs is imported once, before it is forked; nothing of the product is
import cryptography.x509  # noqa: F401
import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
TIMES_SLOWER: Final = 10
"""A mutant whose tests take so many times as long as without it does not end."""
COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATIONS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.BitAnd: ast.BitOr, ast.Mult: ast.Add, ast.Mod: ast.Mult,
}  # fmt: skip
_NEVER_RUN: Final = ("annotation", "returns", "decorator_list", "bases")


class Mutant(NamedTuple):
    line: int
    what: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    tree = ast.parse(source)
    for node in _nodes(tree):
        for name, new, what in _changes(node):
            old = getattr(node, name)
            setattr(node, name, new)
            yield Mutant(node.lineno, what, ast.unparse(ast.fix_missing_locations(tree)))
            setattr(node, name, old)


def _nodes(tree: ast.AST) -> Iterator[Any]:
    """Every node with a line, but those in annotations."""
    for name, value in ast.iter_fields(tree):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in _NEVER_RUN:
                if hasattr(child, "lineno"):
                    yield child
                yield from _nodes(child)


def _changes(node: Any) -> Iterator[tuple[str, Any, str]]:
    """Field, new value, and words for it."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new = COMPARISONS[type(op)]
            yield "ops", [new()], f"{type(op).__name__} becomes {new.__name__}: {ast.unparse(node)}"
        case ast.BoolOp(op=op):
            yield "op", ast.Or() if isinstance(op, ast.And) else ast.And(), f"and, or: {ast.unparse(node)}"
        case ast.BinOp(op=op) if type(op) in OPERATIONS:
            yield "op", OPERATIONS[type(op)](), f"operation: {ast.unparse(node)}"
        case ast.UnaryOp(op=ast.Not()):
            yield "operand", ast.UnaryOp(ast.Not(), node.operand), f"without not: {ast.unparse(node)}"
        case ast.Constant(value=bool(value)):
            yield "value", not value, f"{value} turned"
        case ast.Constant(value=int(value)):
            yield "value", value + 1, f"{value} plus one"
        case ast.If() | ast.IfExp() | ast.While() if isinstance(
            node.test, ast.Name | ast.Attribute | ast.Call
        ):
            yield "test", ast.UnaryOp(ast.Not(), node.test), f"negated: {ast.unparse(node.test)}"
    for name in ("body", "orelse", "finalbody"):
        found = getattr(node, name, None)
        block: list[ast.stmt] = found if isinstance(found, list) else []  # of a lambda it is an expression
        for place, one in enumerate(block):
            if isinstance(one, ast.Raise) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)):
                yield name, [*block[:place], ast.Pass(), *block[place + 1 :]], f"left out: {ast.unparse(one)}"


def is_killed(tree: Path, suites: Sequence[str], timeout_s: float = 600.0) -> bool:
    """Whether a test fails, in a child of this process. One that does not end is killed, in both senses."""
    child = os.fork()
    if not child:
        _run_tests(tree, suites)
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _run_tests(tree: Path, suites: Sequence[str]) -> None:
    os.chdir(tree)
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.dont_write_bytecode = True
    os._exit(pytest.main(["-x", "-n0", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *suites]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", help="path of the module in the tree")
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="begin with this one")
    arguments = parser.parse_args()
    chosen = list(mutants((ROOT / arguments.module).read_text(encoding="utf-8")))
    sample = chosen[arguments.first :: arguments.every]
    alive = 0
    with tempfile.TemporaryDirectory(prefix="posdecom-mutants-") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".venv", ".hypothesis", "dist"))
        began = time.monotonic()
        if is_killed(tree, arguments.suites):
            raise RuntimeError("the suites fail without a mutant, or there is none")
        timeout_s = TIMES_SLOWER * (time.monotonic() - began)
        for mutant in sample:
            (tree / arguments.module).write_text(mutant.source, encoding="utf-8")
            if not is_killed(tree, arguments.suites, timeout_s):
                alive += 1
                print(f"lives  {arguments.module}:{mutant.line}  {mutant.what}", flush=True)
    print(f"{arguments.module}: {len(sample) - alive} of {len(sample)} killed; {len(chosen)} mutants in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
