"""A result stands while its inputs do; whatever else is made has a key of its own."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.encode.result.identity import inputs_digest, result_key, stands

histories = st.lists(st.sampled_from("abc"), max_size=12)


def history(contents: list[str]) -> list[str]:
    """Inputs of the results, one for a content that differs from the last."""
    made: list[str] = []
    for content in contents:
        if not stands(content, made):
            made.append(content)
    return made


@given(contents=histories)
def test_each_change_makes_a_new_result_and_no_change_makes_none(contents: list[str]) -> None:
    changes = sum(a != b for a, b in zip(contents, [None, *contents], strict=False))
    assert len(history(contents)) == changes


@given(occasions=st.lists(st.text("0123456789abc:-T "), unique=True, max_size=6))
def test_the_same_inputs_have_another_key_on_each_occasion(occasions: list[str]) -> None:
    inputs = inputs_digest("1.2", [], "m", {})
    assert len({result_key(inputs, occasion) for occasion in occasions}) == len(occasions)


def test_a_result_of_an_earlier_version_that_went_back_to_old_settings_stands() -> None:
    """Its key was made of its inputs and of the key before (sha256 of "a after b")."""
    went_back = "b635a3cc6b5926f87fbd90229ec1481e2c818b4182b83a5342b3ce6c9dad1b43"
    assert stands("a", ["a", "b", went_back])
    assert not stands("b", ["a", "b", went_back])
