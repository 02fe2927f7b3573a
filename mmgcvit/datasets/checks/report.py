"""What is wrong with data: kinds of issues, what each means for a run, and where they are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

NUM_EXAMPLES = 3


class Outcome(Enum):
    """What becomes of an issue in a run."""

    STOPS = 'stops the run'
    LEFT_OUT = 'left out'
    REPAIRED = 'repaired'


@dataclass(frozen=True)
class Issue:
    """A kind of issue: what has it, what to do about it, and what becomes of it."""

    what: str
    remedy: str
    outcome: Outcome = Outcome.STOPS


class Report:
    """Examples of each issue by the file or folder they are in, and notes."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, Issue], list[str]] = defaultdict(list)
        self.notes: list[str] = []

    def add(self, issue: Issue, place: str, examples: Sequence[str] | None = None) -> None:
        """Add what has an issue, if anything; None where the file or folder itself has it."""
        if examples is None or len(examples):
            self.found[place, issue] += examples or []

    def of(self, outcome: Outcome) -> dict[tuple[str, Issue], list[str]]:
        """The issues of an outcome."""
        return {key: examples for key, examples in self.found.items() if key[1].outcome is outcome}

    def format_sentences(self, outcome: Outcome) -> list[str]:
        """The issues of an outcome, a sentence each: file, number, examples and remedy."""
        sentences = []
        for (place, issue), examples in self.of(outcome).items():
            number = f'{len(examples)} of them: ' if len(examples) > 1 else ''
            more = ', ...' if len(examples) > NUM_EXAMPLES else ''
            which = f' ({number}{", ".join(examples[:NUM_EXAMPLES])}{more})' if examples else ''
            sentences.append(f'{place}: {issue.what}{which}; {issue.remedy}')
        return sentences
