"""Collect the issues of datasets and format them as messages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...errors import shorten

# Maximum number of empty classes to name.
MAX_NAMED = 20


@dataclass(frozen=True)
class Issue:
    """A type of issue: the problem, the remedy, and whether it stops a run. If not, training ignores the objects."""

    problem: str
    remedy: str
    stops: bool = True


class Report:
    """Issues with examples, by the path of the file or folder that has them, notes, and a summary of each dataset."""

    def __init__(self) -> None:
        self.issues: dict[tuple[str, Issue], list[str]] = defaultdict(list)
        self.notes: list[str] = []
        self.summaries: list[str] = []

    def add(self, issue: Issue, path: str, examples: Sequence[str] | None = None) -> None:
        """Add examples of an issue, if there are any. If ``None``, the file or folder itself has the issue."""
        if examples is None or len(examples):
            self.issues[path, issue] += examples or []

    def add_empty_classes(self, path: str, noun: str, counts: Mapping[str, int]) -> None:
        """Add a summary that names the classes without objects or images, unless no class has any."""
        empty = [name for name, count in counts.items() if not count]
        if empty and len(empty) < len(counts):
            self.summaries.append(f'{path}: classes without {noun}: {shorten(empty, MAX_NAMED)}')

    def format_sentences(self, stops: bool = True) -> list[str]:
        """Return a sentence for each issue that stops a run, or for each other issue: path, count, examples, remedy."""
        sentences = []
        for (path, issue), examples in self.issues.items():
            count = f'{len(examples)} of them: ' if len(examples) > 1 else ''
            details = f' ({count}{shorten(examples)})' if examples else ''
            sentences += [f'{path}: {issue.problem}{details}; {issue.remedy}'] if issue.stops is stops else []
        return sentences
