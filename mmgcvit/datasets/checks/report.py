"""Collect the issues of data sets and format them as sentences."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import shorten


@dataclass(frozen=True)
class Issue:
    """A kind of issue: what is wrong, the remedy, and whether it stops a run or is left out of training."""

    what: str
    remedy: str
    stops: bool = True


class Report:
    """Examples of each issue by the file or folder they are in; notes; and how much data there is."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, Issue], list[str]] = defaultdict(list)
        self.notes: list[str] = []
        self.summaries: list[str] = []

    def add(self, issue: Issue, place: str, examples: Sequence[str] | None = None) -> None:
        """Add what has an issue, if anything; None where the file or folder itself has it."""
        if examples is None or len(examples):
            self.found[place, issue] += examples or []

    def format_sentences(self, stops: bool = True) -> list[str]:
        """The issues that stop a run, or the others, a sentence each: file, number, examples and remedy."""
        sentences = []
        for (place, issue), examples in self.found.items():
            number = f'{len(examples)} of them: ' if len(examples) > 1 else ''
            which = f' ({number}{shorten(examples)})' if examples else ''
            sentences += [f'{place}: {issue.what}{which}; {issue.remedy}'] if issue.stops is stops else []
        return sentences
