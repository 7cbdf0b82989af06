"""A result supersedes only earlier results, whatever settings come and go."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.encode.result.identity import key_after

histories = st.lists(st.sampled_from("abc"), max_size=12)


def history(contents: list[str]) -> list[str]:
    """Keys of the results, one for a content that differs from the last."""
    keys: list[str] = []
    for content in contents:
        key = key_after(content, keys)
        if key not in keys:
            keys.append(key)
    return keys


@given(contents=histories)
def test_each_change_makes_a_new_result_and_no_change_makes_none(contents: list[str]) -> None:
    changes = sum(a != b for a, b in zip(contents, [None, *contents], strict=False))
    assert len(history(contents)) == changes
    if contents:
        keys = history(contents)
        assert key_after(contents[-1], keys) == keys[-1]


@given(contents=histories)
def test_the_same_history_gives_the_same_keys(contents: list[str]) -> None:
    assert history(contents) == history(contents)


def test_what_is_new_has_its_own_key() -> None:
    assert key_after("a", []) == "a"
    assert key_after("b", ["a"]) == "b"
    assert key_after("a", ["a", "b"]) not in {"a", "b"}
