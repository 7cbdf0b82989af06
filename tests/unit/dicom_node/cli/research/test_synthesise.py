"""`synthesise` makes cases that the other commands take with the same options."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dicom_node.cli.app import app
from pipeline.cases.case_list import read_cases
from pipeline.cases.prepared import require_label


@pytest.mark.slow
@pytest.mark.parametrize(("options", "sampling"), [((), 1), (("--pixel-mm", "1.8"), 2)])
def test_cases_are_stretched_unless_pixels_have_a_size(
    options: tuple[str, ...], sampling: int, tmp_path: Path
) -> None:
    few = ("--train", "1", "--validation", "0", "--test", "0", "--pairs", "1")

    answer = CliRunner().invoke(app, ["synthesise", str(tmp_path / "cases"), *few, *options])

    assert answer.exit_code == 0, answer.output
    cases = read_cases(tmp_path / "cases" / "cases.csv")
    assert [require_label(case) for case in cases] == [sampling] * 2
