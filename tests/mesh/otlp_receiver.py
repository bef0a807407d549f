"""The built-in receiver for OTLP over HTTP: strict about what it is sent, like the one for Zipkin."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from .receiver import Receiver, Span

# The trace flags, and that and whether the parent is remote.
_KNOWN_FLAGS = 0x3FF
_KINDS = {
    trace_pb2.Span.SPAN_KIND_SERVER: "SERVER",
    trace_pb2.Span.SPAN_KIND_CLIENT: "CLIENT",
    trace_pb2.Span.SPAN_KIND_INTERNAL: "INTERNAL",
}
_HOUR = 3600 * 10**9


class OtlpReceiver(Receiver):
    """Takes POST /v1/traces on a loopback port.

    A span is a dict: `traceId`, `id`, `parentId` (absent for a root) in hex, `traceState`, `name`,
    `kind`, `start` and `end` in nanoseconds, `flags`, `links`, `link_attributes`, `events` (name and time), `attributes`, `status` (code and message, or
    None), and of what it came with `resource` and `scope`.
    """

    path = "/v1/traces"
    accepted = 200

    @staticmethod
    def parse(content_type: str, body: bytes) -> tuple[list[Span], list[str]]:
        """The spans of a body and everything that is wrong with it."""
        if content_type != "application/x-protobuf":
            return [], [f"content-type {content_type} is not application/x-protobuf"]
        try:
            # Text that is not UTF-8 is an error here too.
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError as error:
            return [], [f"a body of {len(body)} bytes is no ExportTraceServiceRequest: {error}"]
        return _read(request, body)


def _read(request: ExportTraceServiceRequest, body: bytes) -> tuple[list[Span], list[str]]:
    spans: list[Span] = []
    faults: list[str] = []
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        faults += _attribute_faults(resource_spans.resource.attributes)
        if not resource.get("service.name"):
            faults.append("the resource has no service.name")
        for scope_spans in resource_spans.scope_spans:
            scope = (scope_spans.scope.name, scope_spans.scope.version)
            if not all(scope):
                faults.append("the scope has no name or version")
            for span in scope_spans.spans:
                faults += [f"{fault}: {str(span)[:500]}" for fault in span_faults(span)]
                spans.append({**_span(span), "resource": resource, "scope": scope})
    if not spans:
        faults.append("a request without spans")
    request.DiscardUnknownFields()  # type: ignore[attr-defined]
    written = request.SerializeToString()
    # A link that was added to a span stands behind all else.
    if written != body and not (_has_added_links(request) and sorted(written) == sorted(body)):
        faults.append("the bytes are not those that protobuf's own library writes")
    return spans, faults


def _has_added_links(request: ExportTraceServiceRequest) -> bool:
    scopes = (scope for resource in request.resource_spans for scope in resource.scope_spans)
    return any(link.attributes for scope in scopes for span in scope.spans for link in span.links)


def span_faults(span: trace_pb2.Span) -> list[str]:
    """What in a span is against OTLP's rules or cannot be; empty when all is well."""
    faults = []
    if len(span.trace_id) != 16 or not any(span.trace_id):
        faults.append("trace_id is not 16 bytes that are not all zero")
    if len(span.span_id) != 8 or not any(span.span_id):
        faults.append("span_id is not 8 bytes that are not all zero")
    if span.parent_span_id and (len(span.parent_span_id) != 8 or not any(span.parent_span_id)):
        faults.append("parent_span_id is not 8 bytes that are not all zero")
    if not span.name:
        faults.append("the name is empty")
    if span.kind not in _KINDS:
        faults.append("the kind is none of SERVER, CLIENT and INTERNAL")
    if not span.start_time_unix_nano < span.end_time_unix_nano:
        faults.append("it does not end after its start")
    if abs(time.time_ns() - span.end_time_unix_nano) > _HOUR:
        faults.append("the end is not about now in nanoseconds")
    if span.flags & ~_KNOWN_FLAGS or not span.flags & trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK:
        faults.append("the flags have an unknown bit, or not the one that makes them known")
    if span.HasField("status") and span.status.code == trace_pb2.Status.STATUS_CODE_UNSET:
        faults.append("a status that is none")
    faults += [fault for link in span.links for fault in _link_faults(link, (span.trace_id, span.parent_span_id))]
    times = [span.start_time_unix_nano, *(event.time_unix_nano for event in span.events), span.end_time_unix_nano]
    if times != sorted(times) or not all(event.name for event in span.events):
        faults.append("an event without a name, or not in the order of times within the span")
    if span.dropped_attributes_count or any(event.attributes for event in span.events):
        faults.append("something that no proxy records")
    return faults + _attribute_faults(span.attributes)


def _link_faults(link: trace_pb2.Span.Link, parent: tuple[bytes, bytes]) -> list[str]:
    whole = len(link.trace_id) == 16 and any(link.trace_id) and len(link.span_id) == 8 and any(link.span_id)
    known = trace_pb2.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
    # The parent is linked only where it is this proxy's own, and so is what is inferred.
    is_own = (link.trace_id, link.span_id) == parent or link.attributes
    expected = known if is_own else known | trace_pb2.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    faults = [] if whole else ["a link's ids are not 16 and 8 bytes that are not all zero"]
    return faults + ([] if link.flags == expected else ["a link does not say where it is from"])


def _attribute_faults(attributes: Iterable[KeyValue]) -> list[str]:
    names = Counter(attribute.key for attribute in attributes)
    faults = [f"attribute {name} comes {count} times" for name, count in names.items() if count > 1]
    if "" in names:
        faults.append("an attribute without a name")
    faults += [
        f"attribute {attribute.key} has no value"
        for attribute in attributes
        if attribute.value.WhichOneof("value") is None
    ]
    return faults


def _span(span: trace_pb2.Span) -> Span:
    parent = {"parentId": span.parent_span_id.hex()} if span.parent_span_id else {}
    return {
        "traceId": span.trace_id.hex(),
        "id": span.span_id.hex(),
        **parent,
        "traceState": span.trace_state,
        "name": span.name,
        "kind": _KINDS.get(span.kind, ""),
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "flags": span.flags,
        "links": [f"{link.trace_id.hex()}-{link.span_id.hex()}" for link in span.links],
        "link_attributes": [_attributes(link.attributes) for link in span.links],
        "events": [(event.name, event.time_unix_nano) for event in span.events],
        "attributes": _attributes(span.attributes),
        "status": (span.status.code, span.status.message) if span.HasField("status") else None,
    }


def _attributes(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(element) for element in value.array_value.values]
    return getattr(value, kind) if kind else None
