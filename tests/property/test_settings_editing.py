"""Changes to the text of an INI file: what is not meant stays, byte for byte."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from config.editing import changed_text
from config.reader import name_of, parsed, values_in

KEYS = ("port", "Bind", "ae_title", "calling_aes", "level")
TITLES = ("node", "log", "tls", "destination PACS", "destination  WEB ")
WORDS = st.text(st.sampled_from("aB1 ,@.:=#;%[]ü\u2028\x0b"), max_size=8)
REMARKS = st.tuples(st.sampled_from("#;"), WORDS).map("".join)


@st.composite
def blocks(draw: st.DrawFn) -> list[tuple[tuple[str, str] | None, str]]:
    """Lines of an INI file, each with the place that it gives a value to, if any."""
    lines: list[tuple[tuple[str, str] | None, str]] = []
    around = st.lists(st.one_of(REMARKS, st.just(""), st.just("#port = 7")), max_size=2)
    lines += [(None, line) for line in draw(around)]
    for title in draw(st.lists(st.sampled_from(TITLES), unique=True, max_size=4)):
        lines.append((None, f"[{title}]"))
        lines += [(None, line) for line in draw(around)]
        for key in draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=4)):
            equals = draw(st.sampled_from(("=", " = ", ":", "\t: ")))
            value = draw(WORDS).strip()
            lines.append(((name_of(title), key.lower()), f"{key}{equals}{value}"))
            more = draw(st.lists(WORDS.map(str.strip), max_size=1)) if value else []
            lines += [
                ((name_of(title), key.lower()), f"   {line}")
                for line in more
                if line and line[0] not in "#;["
            ]
            lines += [(None, line) for line in draw(around)]
    return lines


@st.composite
def changes(draw: st.DrawFn) -> dict[tuple[str, str], str | None]:
    places = st.tuples(st.sampled_from(TITLES).map(name_of), st.sampled_from(KEYS).map(str.lower))
    return draw(st.dictionaries(places, st.one_of(st.none(), WORDS), max_size=3))


@given(blocks(), changes(), st.sampled_from(("\n", "\r\n")), st.booleans(), st.booleans())
@example(
    [(None, "[node]"), (("node", "port"), "port=1")], {("node", "port"): "2"}, "\n", False, True
)
def test_untouched_lines_stay_as_they_are(
    lines: list[tuple[tuple[str, str] | None, str]],
    wanted: dict[tuple[str, str], str | None],
    line_end: str,
    ends: bool,
    marked: bool,
) -> None:
    text = ("\ufeff" if marked else "") + line_end.join(line for _, line in lines)
    text += line_end if ends else ""
    before = values_in(parsed(text, "before"))
    changed = changed_text(text, wanted)
    after = values_in(parsed(changed, "after"))
    new = {place: value.strip() for place, value in wanted.items() if value is not None}
    assert {place: value for place, value in after.items() if place[1]} == {
        place: value
        for place, value in (before | new).items()
        if place[1] and wanted.get(place, "") is not None
    }
    assert changed.startswith("\ufeff") == marked
    assert "\r\n" in text or "\r" not in changed
    assert changed.count("\r") == changed.count("\r\n")
    kept = [line for place, line in lines if place not in wanted]
    rest = iter(changed.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))
    assert all(any(line == other for other in rest) for line in kept)


@given(blocks(), st.booleans())
def test_no_change_gives_the_same_text(
    lines: list[tuple[tuple[str, str] | None, str]], ends: bool
) -> None:
    text = "\n".join(line for _, line in lines) + ("\n" if ends else "")
    assert changed_text(text, {}) == text


def test_a_section_goes_without_the_comment_of_the_next() -> None:
    text = "[destination A]\nhost = a\n# where logs go\n[log]\nlevel = INFO\n"
    left = "# where logs go\n[log]\nlevel = INFO\n"
    assert changed_text(text, {("destination A", ""): None}) == left


def test_a_new_key_stands_where_its_default_is_shown() -> None:
    text = (
        "[node]\n# Our port.\n#port = 11112\n# Our address.\n#bind = 0.0.0.0\n\n# of logs\n[log]\n"
    )
    assert changed_text(text, {("node", "port"): "104", ("log", "level"): "DEBUG"}) == (
        "[node]\n# Our port.\n#port = 11112\nport = 104\n# Our address.\n#bind = 0.0.0.0\n\n"
        "# of logs\n[log]\nlevel = DEBUG\n"
    )
