"""What is wrong with data: kinds of problems, what each means for a run, and how many there are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

NUM_EXAMPLES = 3


class Outcome(Enum):
    """What becomes of a problem in a run."""

    STOPS = 'stops the run'
    LEFT_OUT = 'left out'
    REPAIRED = 'repaired'


@dataclass(frozen=True)
class Kind:
    """A kind of problem: the things that have it, what to do, as half a sentence, and what becomes of them."""

    what: str
    remedy: str
    outcome: Outcome = Outcome.STOPS


# A kind, and what has it in words.
Problem = tuple[Kind, str]


@dataclass
class Found:
    """How many of a kind are in one file or folder, and which, a few of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Report:
    """Problems by the file or folder that they are in, and their kind; and notes on what is no problem.

    So many images training passes over as its config asks it to, and why.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, Kind], Found] = {}
        self.notes: list[str] = []
        self.passed_over: Counter[str] = Counter()

    def add(self, kind: Kind, place: str, examples: Sequence[str] | None = None) -> None:
        """Note problems of a kind: what has it, each in words; None where the place itself is the problem."""
        if examples is None or len(examples):
            found = self.found.setdefault((place, kind), Found())
            found.count += 1 if examples is None else len(examples)
            found.examples += (examples or [])[: NUM_EXAMPLES - len(found.examples)]

    def of(self, outcome: Outcome) -> dict[tuple[str, Kind], Found]:
        """The problems that end so."""
        return {key: found for key, found in self.found.items() if key[1].outcome is outcome}

    def format_sentences(self, outcome: Outcome) -> list[str]:
        """The problems that end so, a sentence each: place, number, examples and remedy."""
        sentences = []
        for (place, kind), found in self.of(outcome).items():
            number = f'{found.count} of them: ' if found.count > 1 else ''
            more = ', ...' if found.count > len(found.examples) else ''
            which = f' ({number}{", ".join(found.examples)}{more})' if found.examples else ''
            sentences.append(f'{place}: {kind.what}{which}; {kind.remedy}')
        return sentences
