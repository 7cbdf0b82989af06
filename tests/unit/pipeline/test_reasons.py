"""Every code of the pipeline is a member of one list, stays a string, and is raised somewhere."""

import ast
import json
import pickle
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from pipeline.errors import InvalidGeometry, UnsuitableSeries
from pipeline.reasons import FailedReason, QualityFlag, RefusedReason, UnsuitableReason
from pipeline.series.eligibility import Reason
from pipeline.types import Doubt
from tests.support.paths import ROOT

CODES: tuple[type[StrEnum], ...] = (UnsuitableReason, QualityFlag, FailedReason)
#: Callables whose first or ``code`` argument is a code.
CODED = {"UnsuitableSeries", "InvalidGeometry", "Reason", "Doubt", "Failed", "Gate"} | {
    "AcquisitionGate",
    "agreement",
}


def trees(package: str) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "reasons.py":
            yield path, ast.parse(path.read_text())


@cache
def raised(package: str, codes: type[StrEnum]) -> set[str]:
    """Members named anywhere in the code of a package, as ``Codes.MEMBER``."""
    return {
        node.attr
        for _, tree in trees(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == codes.__name__
    }


@cache
def literals_of(package: str) -> frozenset[object]:
    """Constants that are written in the code of a package."""
    return frozenset(
        node.value
        for _, tree in trees(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
    )


def test_no_code_is_raised_as_a_literal() -> None:
    literals = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in trees("pipeline")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CODED
        for argument in [*node.args[:1], *(k.value for k in node.keywords if k.arg == "code")]
        if isinstance(argument, ast.Constant)
    ]
    assert literals == []


@pytest.mark.parametrize("codes", [UnsuitableReason, QualityFlag])
def test_every_code_is_raised_somewhere(codes: type[StrEnum]) -> None:
    named = raised("pipeline", codes) | raised("dicom_node", codes) | {"INSTANCES_REMOVED"}
    assert named >= set(codes.__members__)


@pytest.mark.parametrize(
    "code", [*FailedReason, *RefusedReason, UnsuitableReason.INSTANCES_REMOVED]
)
def test_codes_of_the_node_are_raised_there(code: StrEnum) -> None:
    named = raised("dicom_node", type(code))
    assert code.name in named or code.value in literals_of("dicom_node")


@pytest.mark.parametrize("codes", CODES)
def test_a_code_is_a_short_word_with_a_sentence_for_people(
    codes: type[UnsuitableReason | QualityFlag | FailedReason],
) -> None:
    for code in codes:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code.value)
        assert code.name == code.value.upper().replace("-", "_")
        assert code.sentence[0].isupper()
        assert code.sentence.endswith(".") == (codes is not FailedReason)


def test_a_refusal_is_named_by_its_words_and_never_written_out() -> None:
    literals = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, tree in trees("dicom_node")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in list(RefusedReason)
    ]
    assert literals == []
    for code in RefusedReason:
        assert code.name == code.value.upper().replace(" ", "_")
        assert code.sentence[0].isupper()
        assert code.sentence.endswith(".")


def test_a_code_compares_formats_and_serialises_as_its_text() -> None:
    code = UnsuitableReason.TOO_FEW_SLICES

    assert code == "too-few-slices"
    assert {code: 1}["too-few-slices"] == 1
    assert f"{code}: {code!s}" == "too-few-slices: too-few-slices"
    assert json.dumps({"code": code}) == '{"code": "too-few-slices"}'
    assert UnsuitableReason("too-few-slices") is code
    assert pickle.loads(pickle.dumps(code)) is code  # noqa: S301  # our own bytes


def test_a_refusal_keeps_its_code_between_processes() -> None:
    refusal = InvalidGeometry(UnsuitableReason.GAP, "no gap expected, got one")

    copy = pickle.loads(pickle.dumps(refusal))  # noqa: S301  # our own bytes

    assert isinstance(copy, UnsuitableSeries)
    assert copy.code is UnsuitableReason.GAP
    assert str(copy) == "gap: no gap expected, got one"


def test_reasons_and_doubts_with_a_code_equal_those_with_its_text() -> None:
    assert Reason(code=UnsuitableReason.NOT_CT, text="x").code == "not-ct"
    assert Doubt(code=QualityFlag.BODY_PART, text="x") == Doubt(code="body-part", text="x")


def test_the_documentation_names_every_flag() -> None:
    _, _, rest = (ROOT / "docs" / "reasons.md").read_text().partition("## Doubted")
    section = rest.partition("<!-- made")[0]
    patterns = [word.replace("*", ".*") for word in re.findall(r"`([a-z*-]+)`", section)]
    for flag in QualityFlag:
        assert any(re.fullmatch(pattern, flag) for pattern in patterns), flag
