"""Draw mutants of a module by a seed: places first, then one slip of those that fit the place."""

from __future__ import annotations

import ast
import hashlib
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code

from tests.mutants.operators import OPERATORS

Place = tuple[int, int]  #: line, from 1, and column
Slip = tuple[str, int]  #: name of the operator, and which of its occurrences


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One slip in a module."""

    module: str
    line: int
    operator: str
    occurrence: int
    digest: str  #: of the module that it was drawn from

    def code(self, source: str) -> str:
        """Source with the slip in it."""
        changed = mutate_code(source, OPERATORS[self.operator], self.occurrence)
        if changed is None:
            raise ValueError(f"expected a place for {self} in {self.module}, got none")
        return str(changed)


def places(module: Path) -> dict[Place, list[Slip]]:
    """Slips of a module by place; none in annotations, nor in arguments of decorators."""
    source = module.read_text()
    left_out = _left_out(source)
    found: dict[Place, list[Slip]] = defaultdict(list)
    nodes = list(ast_nodes(get_ast_from_path(module)))
    for name, operator in OPERATORS.items():
        if name.endswith("Div_Mul") and "pathlib" in source:
            continue  # it joins paths, and would fail at once
        at = [(start, node) for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, (start, node) in enumerate(at):
            star = "Mul" in name and node.search_ancestor("parameters")  # the one of a signature
            if not star and not any(first <= start < last for first, last in left_out):
                found[start].append((name, occurrence))
    return found


def draw(root: Path, module: str, count: int, seed: int) -> list[Mutant]:
    """Draw so many places, or all; the same for the same module and seed."""
    path = root / module
    by_place = places(path)
    drawn = random.Random(f"{seed} {module}")
    chosen = drawn.sample(sorted(by_place), min(count, len(by_place)))
    slips = {place: drawn.choice(sorted(by_place[place])) for place in chosen}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return [
        Mutant(module=module, line=line, operator=name, occurrence=occurrence, digest=digest)
        for (line, _), (name, occurrence) in slips.items()
    ]


def _left_out(source: str) -> list[tuple[Place, Place]]:
    """Where annotations, and decorators with arguments, begin and end."""
    found = []
    for node in ast.walk(ast.parse(source)):
        decorators = [d for d in getattr(node, "decorator_list", []) if isinstance(d, ast.Call)]
        for item in (
            getattr(node, "returns", None),
            getattr(node, "annotation", None),
            *decorators,
        ):
            if isinstance(item, ast.expr):
                end = item.end_lineno or item.lineno, item.end_col_offset or item.col_offset
                found.append(((item.lineno, item.col_offset - 1), end))  # the @ too
    return found
