"""Modules that fail, put together byte by byte: no compiler makes one that traps where it is told to."""

from __future__ import annotations

I32 = 0x7F
UNREACHABLE = b"\x00"

# The callbacks that Envoy asks of a module, with the number of their parameters and what they return
# when all is well; None returns nothing.
_CALLBACKS: dict[str, tuple[int, int | None]] = {
    "proxy_abi_version_0_2_1": (0, None),
    "proxy_on_memory_allocate": (1, 0),
    "proxy_on_context_create": (2, None),
    "proxy_on_vm_start": (2, 1),
    "proxy_on_configure": (2, 1),
    "proxy_on_request_headers": (3, 0),
}


def module_that_traps_in(callback: str) -> bytes:
    """A module that does nothing, and traps in this callback.

    >>> module_that_traps_in("proxy_on_configure")[:8]
    b'\\x00asm\\x01\\x00\\x00\\x00'
    """
    assert callback in _CALLBACKS
    types, codes, exports = [], [], [_name("memory") + b"\x02\x00"]
    for index, (name, (parameters, value)) in enumerate(_CALLBACKS.items()):
        results = [] if value is None else [I32]
        types.append(b"\x60" + _vector(parameters * [bytes([I32])]) + _vector([bytes([one]) for one in results]))
        constant = b"" if value is None else b"\x41" + bytes([value])
        body = b"\x00" + (UNREACHABLE if name == callback else constant) + b"\x0b"
        codes.append(_sized(body))
        exports.append(_name(name) + b"\x00" + bytes([index]))
    sections = [
        (1, _vector(types)),
        (3, _vector([bytes([index]) for index in range(len(types))])),
        (5, _vector([b"\x00\x01"])),
        (7, _vector(exports)),
        (10, _vector(codes)),
    ]
    return b"\x00asm\x01\x00\x00\x00" + b"".join(bytes([number]) + _sized(body) for number, body in sections)


def _sized(body: bytes) -> bytes:
    """Bytes behind their number, in LEB128."""
    low, high = len(body) & 0x7F, len(body) >> 7
    assert high < 0x80
    return (bytes([low | 0x80, high]) if high else bytes([low])) + body


def _vector(items: list[bytes]) -> bytes:
    return bytes([len(items)]) + b"".join(items)


def _name(name: str) -> bytes:
    return _sized(name.encode())
