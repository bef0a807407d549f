"""The tags that operators add: where values come from, what is cut, who wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mesh.requests import Text
from mesh.single import SingleProxy

Proxy = Callable[..., SingleProxy]

SOURCES: dict[str, Any] = {
    "stage": {"literal": {"value": "prod"}},
    "account": {"header": {"name": "X-Account-Id"}},
    "plan": {"header": {"name": "x-plan", "defaultValue": "free"}},
    "method": {"header": {"name": ":method"}},
    "zone_of_vm": {"environment": {"name": "ZONE"}},
    "unset": {"environment": {"name": "UNSET"}},
    "unset_with_default": {"environment": {"name": "UNSET", "defaultValue": "-"}},
}


@pytest.mark.parametrize(
    "headers, expected",
    [
        ([], {"account": None, "plan": "free"}),
        ([("x-account-id", "acc-42"), ("x-plan", "gold")], {"account": "acc-42", "plan": "gold"}),
        ([("X-ACCOUNT-ID", "acc-42")], {"account": "acc-42"}),
        ([("x-account-id", "first"), ("x-account-id", "second")], {"account": "first"}),
        ([("x-account-id", ""), ("x-plan", "")], {"account": None, "plan": None}),
        ([("x-account-id", '"quoted\\"\t{}')], {"account": '"quoted\\"\t{}'}),
        ([("x-account-id", "\u5f20".encode())], {"account": "\u5f20"}),
        ([("x-account-id", b"a\xffb")], {"account": "a\ufffdb"}),
        ([("x-account-id", b"\xff\xfe\xfd")], {"account": "\ufffd\ufffd\ufffd"}),
    ],
    ids=[
        "absent", "present", "upper_case", "repeated", "empty", "json_syntax", "utf8", "not_utf8", "nothing_utf8",
    ],
)  # fmt: skip
def test_a_tag_has_its_value_else_its_default_else_is_absent(
    sources: SingleProxy, headers: list[tuple[Text, Text]], expected: dict[str, str | None]
) -> None:
    constant = {"stage": "prod", "method": "GET", "zone_of_vm": "z1", "unset": None, "unset_with_default": "-"}
    sources.receiver.clear()
    assert sources.request(headers=headers).status == 200
    tags = sources.span()["tags"]
    assert {name: tags.get(name) for name in constant} == constant
    assert {name: tags.get(name) for name in expected} == expected


@pytest.fixture(scope="module")
def sources(folder: Any, loop: Any) -> Any:
    """A proxy with a tag of each source."""
    config = {"sampling": 100, "customTags": SOURCES}
    one = SingleProxy(config, environment={"ZONE": "z1"}, folder=folder, loop=loop)
    yield one
    assert one.stop() == 0
    assert one.receiver.errors == [] and not one.trapped()


@pytest.mark.parametrize(
    "length, value, expected",
    [
        (8, "123456789", "12345678"),
        (8, "12345678", "12345678"),
        (8, "1234567\u00e9", "1234567"),
        (8, "123456\u00e9\u00e9", "123456\u00e9"),
        (8, "12345\U0001f600", "12345"),
        (3, "\U0001f600", None),
        (1, "ab", "a"),
        (None, "x" * 300, "x" * 256),
        (65536, "x" * 20000, "x" * 20000),
    ],
)
def test_a_value_is_cut_between_characters(proxy: Proxy, length: int | None, value: str, expected: str | None) -> None:
    tags = {"header": {"header": {"name": "x-value"}}, "literal": {"literal": {"value": value}}}
    cap = {} if length is None else {"maxTagLength": length}
    one = proxy({"sampling": 100, "customTags": tags, **cap})
    assert one.request(headers=[("x-value", value.encode())]).status == 200
    found = one.span()["tags"]
    assert (found.get("header"), found.get("literal")) == (expected, expected)


def test_tags_of_mesh_and_plugin_are_merged_by_name_and_the_plugins_win(proxy: Proxy) -> None:
    mesh = {
        "from_mesh": {"literal": {"value": "mesh"}},
        "both": {"header": {"name": "x-mesh", "defaultValue": "mesh"}},
        "account_header": {"header": {"name": "x-account-id"}},
        "mesh_environment": {"environment": {"name": "UNSET", "defaultValue": "mesh"}},
    }
    plugin = {"from_plugin": {"literal": {"value": "plugin"}}, "both": {"literal": {"value": "plugin"}}}
    metadata = {"PROXY_CONFIG": {"tracing": {"sampling": 100, "customTags": mesh}}}
    one = proxy({"customTags": plugin}, node_metadata=metadata)
    one.request(headers=[("x-account-id", "acc-42"), ("x-mesh", "x")])
    tags = one.span()["tags"]
    expected = {
        "from_mesh": "mesh",
        "from_plugin": "plugin",
        "both": "plugin",
        "account_header": "acc-42",
        "mesh_environment": "mesh",
    }
    assert {name: tags.get(name) for name in expected} == expected


def test_a_tag_with_a_standard_name_takes_the_standard_ones_place_where_it_has_a_value(proxy: Proxy) -> None:
    # The receiver takes no body in which a key comes twice.
    names = ["node_id", "zone", "http.url", "http.method", "component", "error", "response_flags", "istio.mesh_id"]
    tags = {name: {"literal": {"value": f"own {name}"}} for name in names}
    tags["http.status_code"] = {"header": {"name": "x-absent"}}
    tags["user_agent"] = {"header": {"name": "x-agent", "defaultValue": "own agent"}}
    one = proxy({"sampling": 100, "customTags": tags})
    one.request(path="/?secret", headers=[("user-agent", "curl")])
    found = one.span()["tags"]
    assert {name: found[name] for name in names} == {name: f"own {name}" for name in names}
    assert (found["http.status_code"], found["user_agent"]) == ("200", "own agent")
