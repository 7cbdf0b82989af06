"""Reading who is told of what; a line that is wrong is named and never quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_node.errors import NodeError
from dicom_node.notify.apprise_sender import check_url
from dicom_node.notify.recipients import Subject, read_recipients


def rules(folder: Path, text: str) -> Path:
    file = folder / "recipients"
    file.write_text(text)
    return file


def test_a_rule_names_subjects_and_a_service(tmp_path: Path) -> None:
    text = (
        "# us\n\nfaults,failures mailtos://u:secret@example.org\nall   jsons://hooks.example.org\n"
    )
    mail, hook = read_recipients(rules(tmp_path, text))

    assert mail.subjects == {Subject.FAULTS, Subject.FAILURES}
    assert hook.subjects == set(Subject)
    assert (mail.name, hook.line) == ("recipient in line 3 (mailtos)", 4)
    assert "secret" not in repr(mail) + mail.name + mail.key


def test_lines_with_the_same_url_are_one_recipient(tmp_path: Path) -> None:
    text = "faults json://a\nall json://b\nfailures json://a\n"
    first, second = read_recipients(rules(tmp_path, text))

    assert (first.line, second.line) == (1, 2)
    assert first.subjects == {Subject.FAULTS, Subject.FAILURES}


@pytest.mark.parametrize(
    "line",
    ["mailto://u:secret@host", "faults", "faults, failures json://secret", "love json://secret"],
)
def test_a_line_that_is_no_rule_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    with pytest.raises(NodeError, match="line 2: expected subjects") as fault:
        read_recipients(rules(tmp_path, f"all json://localhost\n{line}\n"))
    assert "secret" not in str(fault.value)


def test_a_file_that_cannot_be_read_or_is_endless_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="FileNotFoundError"):
        read_recipients(tmp_path / "none")
    with pytest.raises(NodeError, match="at most 65536 bytes"):
        read_recipients(rules(tmp_path, "#" * 70_000))


def test_a_service_that_apprise_does_not_know_is_a_fault() -> None:
    check_url("json://localhost/hook")
    with pytest.raises(NodeError, match="that it does not") as fault:
        check_url("pigeon://secret")
    assert "secret" not in str(fault.value)
