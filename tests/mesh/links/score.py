"""How the calls of a load were linked, against what the application knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from .pod import Call, Outcome

NO_TAG = "none"


@dataclass
class Score:
    """Calls by what became of them. Each is counted once; `apart` are those that belong to no request."""

    right: int = 0
    wrong: int = 0
    link_right: int = 0
    link_wrong: int = 0
    unlinked: int = 0
    apart: int = 0
    # Right and wrong ones by their tag `meshspan.correlation`.
    right_by: Counter[str] = field(default_factory=Counter)
    wrong_by: Counter[str] = field(default_factory=Counter)

    @property
    def calls(self) -> int:
        """How many there were."""
        return self.right + self.wrong + self.link_right + self.link_wrong + self.unlinked + self.apart

    def share(self, count: int) -> float:
        """A part of all calls, in percent."""
        return 100 * count / max(1, self.calls)

    def add(self, other: Score) -> None:
        """Pool another load's calls with these."""
        for one in fields(self):
            if one.name.endswith("_by"):
                getattr(self, one.name).update(getattr(other, one.name))
            else:
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


def score(outcome: Outcome, calls: Iterable[Call]) -> Score:
    """What became of some of an outcome's calls."""
    serials = {(span["traceId"], span["id"]): serial for serial, span in outcome.requests.items()}
    found = Score()
    for call in calls:
        parent = serials.get((call.span["traceId"], call.span.get("parentId", "")))
        tags = call.span["tags"]
        by = tags.get("meshspan.correlation", NO_TAG)
        if parent is not None:
            is_right = parent == call.cause
            (found.right_by if is_right else found.wrong_by)[by] += 1
            found.right += is_right
            found.wrong += not is_right
        elif "meshspan.link" in tags:
            trace_id, _, span_id = tags["meshspan.link"].partition("-")
            is_right = call.cause is not None and serials.get((trace_id, span_id)) == call.cause
            found.link_right += is_right
            found.link_wrong += not is_right
        elif call.cause is None:
            found.apart += 1
        else:
            found.unlinked += 1
    return found
