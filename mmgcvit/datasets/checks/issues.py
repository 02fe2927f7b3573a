"""Collect the issues that checks find in datasets, and format them as messages."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import shorten


@dataclass(frozen=True)
class Issue:
    """A problem, its remedy (a sentence), and whether it stops a run. If not, training skips the affected objects."""

    problem: str
    remedy: str
    stops_run: bool = True


@dataclass
class Report:
    """The issues: lists of examples by (path of the file or folder, issue). Also notes and summaries."""

    issues: dict[tuple[str, Issue], list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)

    def add(self, issue: Issue, path: str, examples: Sequence[str] | None = None) -> None:
        """Add examples of an issue. An empty list adds nothing. None means that ``path`` itself has the issue."""
        if examples is None or len(examples):
            self.issues[path, issue] += examples or []

    def format_messages(self, stops_run: bool = True) -> list[str]:
        """Return a message (path, count, examples, remedy) for each issue with this ``stops_run``."""
        messages = []
        for (path, issue), examples in self.issues.items():
            count = f'{len(examples)} of them: ' if len(examples) > 1 else ''
            details = f' ({count}{shorten(examples)})' if examples else ''
            messages += [f'{path}: {issue.problem}{details}. {issue.remedy}'] if issue.stops_run is stops_run else []
        return messages
