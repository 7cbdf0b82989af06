"""Things that were read are remembered up to a size, and forgotten when no longer needed."""

from dicom_node.closing.remembered import Remembered


def test_it_remembers_up_to_a_size() -> None:
    read: list[str] = []
    remembered = Remembered[str, str](5, len)

    def value(key: str, text: str) -> str:
        return remembered.value(key, lambda: read.append(key) or text)  # type: ignore[func-returns-value]  # none is meant

    for _ in range(2):
        assert [value("a", "xxx"), value("b", "yyy"), value("c", "zz")] == ["xxx", "yyy", "zz"]
    assert read == ["a", "b", "c", "b"]
    remembered.forget_others({"c"})
    for _ in range(2):
        assert [value("b", "yyy"), value("a", "xxx")] == ["yyy", "xxx"]
    assert read == ["a", "b", "c", "b", "b", "a", "a"]
