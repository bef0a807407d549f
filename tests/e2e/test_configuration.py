"""Plugin configuration in plain Envoy: a bad one is found before anything starts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Callable, Mapping

import pytest

from mesh import config as configuration
from mesh.config import Config
from mesh.envoy import Envoy, validate
from mesh.processes import ProcessFailed, new_run_folder
from mesh.single import SingleProxy

BYTES_TYPE = "type.googleapis.com/google.protobuf.BytesValue"
KEYS = (
    "serviceName, sampling, trust, customTags, maxTagLength, hashKey, resource, query, pathRedact, maskPatterns, clientAddress, "
    "accessLog, response, events, streams, spanName, operations, propagation, collector, queue, batch, export, correlation"
)
TAG_SOURCES = "exactly one of literal, header, environment, cookie, queryParameter, pathSegment, baggage, requestTrailer, responseHeader, responseTrailer, metadata, attribute"
ISTIO = {"ISTIO_VERSION": "1.30.3"}

# What is given, and what the one line says of it.
BAD = {
    "sampling over 100": ('{"sampling": 140}', "sampling: 140 is not a percentage from 0 to 100"),
    "sampling as text": ('{"sampling": "60"}', 'sampling: "60" is not a percentage from 0 to 100'),
    "sampling null": ('{"sampling": null}', "sampling: null is not a percentage from 0 to 100"),
    "array": ("[]", "configuration: [] is not an object"),
    "array for an object": ('{"queue": [1, 2]}', "queue: [1, 2] is not an object"),
    "unknown key": ('{"samplng": 60}', f"samplng: unknown key; allowed: {KEYS}"),
    "unknown key below": (
        '{"batch": {"max_spans": 1}}',
        "batch.max_spans: unknown key; allowed: maxSpans, interval",
    ),
    "no JSON": ("sampling: 60", "configuration: not JSON: value expected at line 1 column 2"),
    "JSON cut off": ("{", "configuration: not JSON: value or end of sequence expected at line 1 column 2"),
    "key given twice": (
        '{"sampling": 1, "sampling": 2}',
        "sampling: given twice; allowed: each key once",
    ),
    "duration without a unit": (
        '{"batch": {"interval": "5"}}',
        'batch.interval: "5" is not a duration such as 250ms, 5s or 1m',
    ),
    "unknown format": (
        '{"propagation": {"inject": ["b4"]}}',
        'propagation.inject[0]: "b4" is not one of tracecontext, b3, b3multi, jaeger',
    ),
    "tag without a source": ('{"customTags": {"a": {}}}', f"customTags.a: no source; allowed: {TAG_SOURCES}"),
    "value of 1 MiB": (
        '{"serviceName": "' + "x" * (1 << 20) + '"}',
        "configuration: 1048595 bytes; allowed: at most 1048576",
    ),
    "value just below 1 MiB": (
        '{"serviceName": "' + "x" * 1_000_000 + '"}',
        'serviceName: "' + "x" * 62 + "… is not a string of 0 to 255 bytes",
    ),
    "not UTF-8": (b'{"serviceName": "\xff\xfe"}', "configuration: not JSON: invalid utf-8 sequence of 1 bytes from "
                  "index 0 at line 1 column 20"),
    "binary": (bytes(range(256)), "configuration: not JSON: value expected at line 1 column 1"),
    "a Struct": ({"sampling": 60}, "configuration: not JSON but binary, as Envoy passes a Struct on; "
                 "allowed: JSON text in a google.protobuf.StringValue"),
}  # fmt: skip


def sidecar(
    plugin: str | bytes | Mapping[str, Any],
    metadata: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """dockebi's sidecar with this plugin configuration; nothing is behind it."""
    nowhere = ("127.0.0.1", 9)
    config = configuration.load("dockebi")
    config["static_resources"]["listeners"] = configuration.listeners(config)[:1]
    names = [("127.0.0.1", 8080), ("dockebi-storage", 15006), ("zipkin", 9411)]
    configuration.relocate(config, dict.fromkeys(names, nowhere))
    configuration.set_module(config, environment=environment)
    configuration.merge_node_metadata(config, metadata or {})
    for wasm in configuration.wasm_plugins(config):
        wasm["configuration"] = _any(plugin)
    return config


def _any(plugin: str | bytes | Mapping[str, Any]) -> Config:
    if isinstance(plugin, bytes):
        return {"@type": BYTES_TYPE, "value": base64.b64encode(plugin).decode()}
    if isinstance(plugin, str):
        return {"@type": configuration.STRING_TYPE, "value": plugin}
    return {"@type": "type.googleapis.com/google.protobuf.Struct", "value": plugin}


def reasons(log: str) -> list[str]:
    """What the lines say that tell of an invalid plugin configuration."""
    return [line.split("invalid plugin configuration, ")[1] for line in log.splitlines() if "invalid plugin" in line]


def trapped(log: str) -> bool:
    """Whether a log tells of a trap."""
    return "Uncaught RuntimeError" in log or "panicked at" in log


def failed_start(folder: Path, config: Config) -> str:
    """Start an Envoy that must not get up; its log."""
    with pytest.raises(ProcessFailed, match="ended with code 1 before it was live"):
        Envoy("refused", config, folder)
    return (folder / "refused.log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("given, expected", BAD.values(), ids=BAD.keys())
def test_a_bad_configuration_is_refused_with_one_line(given: Any, expected: str, folder: Path) -> None:
    folder = new_run_folder(folder)
    config = sidecar(given)
    code, printed = validate("validated", config, folder)
    assert code == 1
    for log in (printed, failed_start(folder, config)):
        assert reasons(log) == [f"refused: {expected}"]
        assert not trapped(log)


VALID = {
    "absent": ("", None),
    "blank": (" \n", None),
    "no keys": ("{}", None),
    "camelCase": ('{"randomSamplingPercentage": 100, "maxTagLength": 4, "customTags": {"t": {"literal": {"value": "123456"}}}}', "1234"),
    "snake_case": ('{"random_sampling_percentage": 100, "max_tag_length": 4, "custom_tags": {"t": {"literal": {"value": "123456"}}}}', "1234"),
}  # fmt: skip


@pytest.mark.parametrize("given, tag", VALID.values(), ids=VALID.keys())
def test_a_valid_configuration_is_taken(
    given: str, tag: str | None, proxy: Callable[..., SingleProxy], folder: Path
) -> None:
    one = proxy(given)
    assert validate(f"valid-{id(one):x}", one.config, folder)[0] == 0
    assert one.request().status == 200
    assert "meshspan:" not in one.log()
    assert one.stats()["meshspan_configuration_invalid"] == 0
    if tag is not None:
        assert one.span()["tags"]["t"] == tag


def test_an_empty_configuration_is_taken(proxy: Callable[..., SingleProxy]) -> None:
    def empty(config: Config) -> None:
        for plugin in configuration.wasm_plugins(config):
            plugin["configuration"] = {"@type": configuration.STRING_TYPE, "value": ""}

    one = proxy(change=empty)
    assert one.request().status == 200
    assert "meshspan:" not in one.log()


POLICIES = {
    "plain Envoy refuses": (None, None, "refuse"),
    "Istio continues": (ISTIO, None, "continue"),
    "plain Envoy told to continue": (None, "continue", "continue"),
    "Istio told to refuse": (ISTIO, "refuse", "refuse"),
    "plain Envoy told nonsense": (None, "maybe", "refuse"),
    "Istio told nonsense": (ISTIO, "maybe", "continue"),
}


@pytest.mark.parametrize("metadata, policy, expected", POLICIES.values(), ids=POLICIES.keys())
def test_where_it_runs_or_the_variable_says_what_happens_with_a_bad_configuration(
    metadata: Mapping[str, Any] | None,
    policy: str | None,
    expected: str,
    proxy: Callable[..., SingleProxy],
    folder: Path,
) -> None:
    environment = {"MESHSPAN_INVALID_CONFIGURATION": policy} if policy else None
    given, reason = BAD["sampling over 100"]
    if expected == "refuse":
        log = failed_start(new_run_folder(folder), sidecar(given, metadata, environment))
        assert reasons(log) == [f"refused: {reason}"]
    else:
        one = proxy(given, node_metadata=metadata, environment=environment)
        assert one.request().status == 200
        assert one.stats()["meshspan_configuration_invalid"] == 1
        log = one.log()
        # One line for each VM: the one that tries it, the main thread's and the worker's.
        assert reasons(log) == 3 * [f"mesh configuration and defaults are in force: {reason}"]
    told = 'MESHSPAN_INVALID_CONFIGURATION: "maybe" is not one of refuse, continue; ignored'
    assert (told in log) == (policy == "maybe")
    assert not trapped(log)
