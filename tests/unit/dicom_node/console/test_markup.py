"""Times, addresses and sentences in pages: marked up, and still escaped."""

from datetime import UTC, datetime, timedelta

import pytest
from markupsafe import Markup

from dicom_node.console.context import environment
from dicom_node.console.language.translation import _


def rendered(template: str, **values: object) -> str:
    return environment().from_string(template).render(**values)


def test_a_time_has_its_date_unless_it_is_of_today_and_the_whole_of_it_beside() -> None:
    now = datetime.now(UTC).astimezone()
    assert f'title="{now:%Y-%m-%d %H:%M:%S}">{now:%H:%M:%S}</time>' in rendered("{{ x|at }}", x=now)
    for other in (now - timedelta(days=1), now + timedelta(days=1), now - timedelta(days=365)):
        assert f">{other:%Y-%m-%d %H:%M}</time>" in rendered("{{ x|at }}", x=other)
    assert rendered("{{ x|at }}", x=None) == ""


def test_a_sentence_with_a_time_escapes_all_else() -> None:
    text = _("since {time} by {name}", time=Markup("<time>9</time>"), name="<b>&")
    assert text == "since <time>9</time> by &lt;b&gt;&amp;"
    assert _("since {time} by {name}", time="<i>", name="<b>") == "since <i> by <b>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a.example.org:104", "a.<wbr>example.<wbr>org:<wbr>104"),
        ("https://x/y", "https://<wbr>x/<wbr>y"),
        ("<b>.&", "&lt;b&gt;.&amp;"),
        ("[a] b_c: 0.3 -> 0.45", "[a] b_c: 0.3 -&gt; 0.45"),
        ("1.2.826.0.1.3680043.10", "1.<wbr>2.<wbr>826.<wbr>0.<wbr>1.<wbr>3680043.<wbr>10"),
        ("Ends here. So", "Ends here. So"),
        ("", ""),
    ],
)
def test_addresses_break_behind_their_parts(text: str, shown: str) -> None:
    assert rendered("{{ x|breakable }}", x=text) == shown
