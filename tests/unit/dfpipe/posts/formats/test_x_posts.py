"""The links of posts of X."""

import pytest

from dfpipe.posts.formats.x_posts import post_links


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Quay http://bit.ly/1a, and (http://is.gd/x)!", ["http://bit.ly/1a", "http://is.gd/x"]),
        ("HTTP://bit.ly/1a", ["HTTP://bit.ly/1a"]),
        ("RT @anna: http://bit.ly/1…", []),
        ("cut http://bit.ly/1...", []),
        ("new http://t.co/1 http://bit.ly/1a", []),
        ("nothing", []),
        (None, []),
    ],
)
def test_links_that_are_in_the_text_alone(text: object, expected: list[str]) -> None:
    assert post_links({"urls": []}, text, 1) == expected
    assert post_links(None, text, 1) == expected


def test_links_of_the_entities_are_all_there_are() -> None:
    entities = {"urls": [{"url": "http://bit.ly/1a", "expanded_url": None}]}
    assert post_links(entities, "http://bit.ly/1a http://else.example/") == ["http://bit.ly/1a"]


@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        ("https://twitter.com/i/web/status/17", False),
        ("https://x.com/i/web/status/18", False),
        ("https://mobile.twitter.com/i/web/status/17", False),
        ("https://twitter.com/i/web/status/170", True),
        ("https://twitter.com/anna/status/17", True),
        ("https://twitter.com.example/i/web/status/17", True),
    ],
)
def test_a_link_to_the_post_itself_is_left_out(url: str, is_kept: bool) -> None:
    found = post_links({"urls": [{"expanded_url": url}]}, "x https://t.co/1", 17, "18", None)
    assert found == ([url] if is_kept else [])
