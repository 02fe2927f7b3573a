"""Collect the issues that checks find in datasets, and format them as messages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import MANY, shorten


@dataclass(frozen=True)
class Issue:
    """A problem, its remedy (a sentence), and whether it stops a run. If not, training skips the affected objects."""

    problem: str
    remedy: str
    stops_run: bool = True


class Report:
    """The issues: lists of examples by (path of the file or folder, issue). Also notes and summaries.

    Files in the folder ``made_in`` are named without it.
    """

    def __init__(self, made_in: Path | None = None) -> None:
        self.made_in = made_in
        self.issues: dict[tuple[str, Issue], list[str]] = defaultdict(list)
        self.notes: list[str] = []
        self.summaries: list[str] = []

    def name(self, path: str) -> str:
        """Return the name of a file or folder for messages."""
        return Path(path).name if self.made_in is not None and Path(path).parent == self.made_in else path

    def add(self, issue: Issue, path: str, examples: Sequence[str] | None = None) -> None:
        """Add examples of an issue. An empty list adds nothing. None means that ``path`` itself has the issue."""
        if examples is None or len(examples):
            self.issues[self.name(path), issue] += examples or []

    def add_empty_classes(self, path: str, noun: str, counts: Mapping[str, int]) -> None:
        """Add a summary that names the classes without objects or images (``noun``), unless all are empty."""
        empty = [name for name, count in counts.items() if not count]
        if empty and len(empty) < len(counts):
            self.summaries.append(f'{self.name(path)}: classes without {noun}: {shorten(empty, MANY)}')

    def format_messages(self, stops_run: bool = True) -> list[str]:
        """Return a message (path, count, examples, remedy) for each issue with this ``stops_run``."""
        messages = []
        for (path, issue), examples in self.issues.items():
            count = f'{len(examples)} of them: ' if len(examples) > 1 else ''
            details = f' ({count}{shorten(examples)})' if examples else ''
            messages += [f'{path}: {issue.problem}{details}. {issue.remedy}'] if issue.stops_run is stops_run else []
        return messages
