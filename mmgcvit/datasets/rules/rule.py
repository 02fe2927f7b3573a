"""A rule for datasets, what follows where it is broken, and the issues that rules find."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ...errors import format_count, shorten

# The largest fraction of images, and of objects, that may be unusable.
MAX_UNUSABLE = 0.1


class Effect(Enum):
    """What follows where a rule is broken."""

    LEFT_OUT = 'left out and counted; above a tenth, the command stops'
    REJECTED = 'the command stops'
    STOPS_IF_MANY = 'above a tenth, the run stops'
    STOPS = 'the run stops'
    NOTED = 'a line says so'
    NONE = 'cannot occur'


@dataclass(frozen=True)
class Rule:
    """A rule. For messages it has the problem (a noun phrase) and the remedy (a sentence)."""

    problem: str
    remedy: str
    unit: str = 'image'  # what is counted: 'image', 'object' or 'file'
    in_folder: Effect = Effect.LEFT_OUT  # of train --data and check-data FOLDER
    in_config: Effect = Effect.STOPS  # of training, tests and check-data with a CONFIG


class Fault(NamedTuple):
    """An image or object that breaks a rule."""

    rule: Rule
    index: int  # of the image or annotation in its split
    example: str  # which image or object it is, and its values


class Issue(NamedTuple):
    """A rule that a file breaks, with examples."""

    rule: Rule
    place: str  # the file or folder
    examples: Sequence[str] = ()
    hint: str = ''  # a further sentence
    stops_run: bool = True

    def __str__(self) -> str:
        return self.format(3)

    def format(self, max_examples: int) -> str:
        """Return the place, the problem, its examples and the remedy as a line."""
        count = f'{len(self.examples)} of them: ' if len(self.examples) > 1 else ''
        details = f' ({count}{shorten(self.examples, max_examples)})' if self.examples else ''
        place = f'{self.place}: ' if self.place else ''
        return f'{place}{self.rule.problem}{details}. {self.rule.remedy}{self.hint}'


@dataclass(frozen=True)
class Report:
    """What is wrong with the datasets of a config, and what they contain."""

    issues: Sequence[Issue] = ()
    notes: Sequence[str] = ()
    summaries: Sequence[str] = ()

    def __add__(self, other: 'Report') -> 'Report':
        return Report(
            [*self.issues, *other.issues],
            [*self.notes, *other.notes],
            [*self.summaries, *other.summaries],
        )

    def format_messages(self, stops_run: bool = True) -> list[str]:
        """Return a line for each issue that stops the run, or for each that does not."""
        return [str(issue) for issue in self.issues if issue.stops_run is stops_run]


def group_faults(faults: Iterable[Fault], place: str) -> list[Issue]:
    """Return an issue for each rule that is broken, with the examples of its faults."""
    examples: dict[Rule, list[str]] = {}
    for fault in faults:
        examples.setdefault(fault.rule, []).append(fault.example)
    return [Issue(rule, place, found) for rule, found in examples.items()]


def make_issues(examples: Mapping[Rule, Sequence[str]]) -> list[Issue]:
    """Return an issue for each rule that has examples."""
    return [Issue(rule, '', found) for rule, found in examples.items() if found]


def are_too_many(num_unusable: int, number: int) -> bool:
    """Return whether more than :data:`MAX_UNUSABLE` of ``number`` images or objects are unusable."""
    return num_unusable > MAX_UNUSABLE * number


def count_by_unit(issues: Iterable[Issue], totals: Counter[str]) -> list[str]:
    """Return texts such as ``2 problems in 24 images`` for each unit that has problems."""
    counts = Counter()
    for issue in issues:
        counts[issue.rule.unit] += len(issue.examples)
    return [
        f'{format_count(number, "problem")} in {format_count(totals[unit], unit)}'
        for unit, number in sorted(counts.items())
    ]
