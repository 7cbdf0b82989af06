"""The slips that are tried: cosmic-ray's, and two more that careless colleagues make."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Keyword, PythonNode
from parso.tree import NodeOrLeaf

Position = tuple[tuple[int, int], tuple[int, int]]

#: Of cosmic-ray's: one or two for each operator of the language; all others differ in kind only.
CHOSEN = re.compile(
    r"core/(ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Div|Mod_FloorDiv"
    r"|BitOr_BitAnd|BitAnd_BitOr|LShift_RShift|Pow_Mul)"
    r"|ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE"
    r"|GtE_Gt|GtE_Lt|Is_IsNot|IsNot_Is)"
    r"|ReplaceUnaryOperator_(Delete_Not|Delete_USub)|AddNot|ReplaceTrueWithFalse"
    r"|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceBreakWithContinue"
    r"|ReplaceContinueWithBreak|ExceptionReplacer|NumberReplacer|RemoveDecorator"
    r"|ZeroIterationForLoop)"
)


class RemoveCall(Operator):
    """Leave out a call that is a statement; those of the log are no work and stay."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        if node.type == "simple_stmt":
            call = node.children[0]
            if call.type == "atom_expr" and call.children[-1].type == "trailer":
                code = call.get_code().strip()
                if code.endswith(")") and not code.startswith("log."):
                    yield call.start_pos, call.end_pos

    def mutate(self, node: PythonNode, index: int) -> PythonNode:
        del index
        call = node.children[0]
        node.children[0] = Keyword("pass", call.start_pos, call.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("sync(file)\n", "pass\n"),)


class RemoveArgument(Operator):
    """Leave out an argument that a function is given by its name; a class would miss it at once."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[Position]:
        if node.type == "argument" and len(node.children) == 3 and node.children[1] == "=":
            bracket = node.search_ancestor("trailer")
            called = bracket.get_first_leaf().get_previous_leaf() if bracket else None
            if called is not None and called.value.islower():
                yield node.start_pos, node.end_pos

    def mutate(self, node: PythonNode, index: int) -> PythonNode:
        del index
        prefix = node.get_first_leaf().prefix
        node.children = [Keyword("**{}", node.start_pos, prefix)]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("call(a, limit=1)", "call(a, **{})"),)


OPERATORS: dict[str, Operator] = {
    **{name: get_operator(name)() for name in operator_names() if CHOSEN.fullmatch(name)},
    "RemoveCall": RemoveCall(),
    "RemoveArgument": RemoveArgument(),
}
