"""A rule for datasets, what follows where it is broken, and the issues that rules find."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from ...errors import shorten

MAX_UNUSABLE = 0.1  # the largest fraction of images, and of objects, that may be unusable


class Effect(Enum):
    """What follows where a rule is broken."""

    LEFT_OUT = 'left out and counted; above a tenth, the command stops'
    REJECTED = 'the command stops'
    STOPS = 'the run stops'
    STOPS_IF_MANY = 'above a tenth, the run stops'
    NOTED = 'a line says so'
    NONE = '-'  # it cannot occur, or is not looked for


@dataclass(frozen=True)
class Rule:
    """A rule: the problem where it is broken (a noun phrase), and the remedy (a sentence)."""

    problem: str
    remedy: str
    unit: str = 'image'  # what is counted: images, objects or files
    in_folder: Effect = Effect.LEFT_OUT  # for train --data and check-data FOLDER
    in_config: Effect = Effect.STOPS  # for training, tests and check-data with a CONFIG


class Fault(NamedTuple):
    """An image or object that breaks a rule."""

    index: int  # of the image or annotation in its split
    rule: Rule
    example: str  # which image or object it is, and its values


class Issue(NamedTuple):
    """A rule that is broken, with examples."""

    rule: Rule
    place: str  # the file or folder, or ''
    examples: Sequence[str] = ()
    hint: str = ''  # a further sentence
    stops_run: bool = True

    def format(self, max_examples: int = 3) -> str:
        """Return the place, the problem, its examples and the remedy as a line."""
        text = f'{self.place}: {self.rule.problem}' if self.place else self.rule.problem
        if self.examples:
            count = f'{len(self.examples)} of them: ' if len(self.examples) > 1 else ''
            text += f' ({count}{shorten(self.examples, max_examples)})'
        return f'{text}. {self.rule.remedy}{self.hint}'


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
        return [issue.format() for issue in self.issues if issue.stops_run is stops_run]


Problems = dict[Rule, list[str]]  # examples by rule


def group_faults(faults: Iterable[Fault]) -> Problems:
    """Return the examples of faults by rule."""
    problems = {}
    for fault in faults:
        problems.setdefault(fault.rule, []).append(fault.example)
    return problems


def make_issues(problems: Problems, place: str = '') -> list[Issue]:
    """Return an issue for each rule that has examples."""
    return [Issue(rule, place, examples) for rule, examples in problems.items() if examples]


def are_too_many(num_unusable: int, number: int) -> bool:
    """Return whether more than :data:`MAX_UNUSABLE` of ``number`` images or objects are unusable."""
    return num_unusable > MAX_UNUSABLE * number
