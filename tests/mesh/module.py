"""What a WebAssembly module asks of its host and offers it, as its import and export sections say.

<https://webassembly.github.io/spec/core/binary/modules.html>
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_IMPORTS = 2
_EXPORTS = 7
_FUNCTION = 0


class Reader:
    """Bytes that are read from front to back."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._content)

    def take(self, count: int) -> bytes:
        """The next bytes."""
        taken = self._content[self._at : self._at + count]
        assert len(taken) == count, "the module is cut off"
        self._at += count
        return taken

    def number(self) -> int:
        """The next number, which is in LEB128."""
        number, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << shift
            shift += 7
        return number

    def name(self) -> str:
        """The next name."""
        return self.take(self.number()).decode()


def imports(module: Path) -> set[str]:
    """The functions that the module imports, as `env.proxy_log`; it may import nothing else."""
    found = set()
    for section in _sections(module, _IMPORTS):
        for _ in range(section.number()):
            name = f"{section.name()}.{section.name()}"
            assert section.take(1) == bytes([_FUNCTION]), f"{name} is no function"
            section.number()
            found.add(name)
    return found


def exports(module: Path) -> set[str]:
    """What the module exports: functions, and its memory."""
    found = set()
    for section in _sections(module, _EXPORTS):
        for _ in range(section.number()):
            found.add(section.name())
            section.take(1)
            section.number()
    return found


def _sections(module: Path, wanted: int) -> Iterator[Reader]:
    whole = Reader(module.read_bytes())
    assert whole.take(8) == b"\0asm\1\0\0\0", f"{module} is no module"
    while not whole.is_empty():
        (kind,) = whole.take(1)
        content = Reader(whole.take(whole.number()))
        if kind == wanted:
            yield content
