"""A rule for datasets, what follows where it is broken, and the issues that rules find."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from ...errors import shorten

MAX_UNUSABLE = 0.1  # the largest fraction of images, and of objects, that may be unusable


class Effect(Enum):
    """What follows where a rule is broken. The values are texts of the docs.

    In a folder, the function that looks for what breaks the rule acts:

    LEFT_OUT: The image, object, file or line is left out. The judge counts and names it, and rejects
        the folder if more than a tenth is left out.
    NOTED: It is read; copies are left out, but do not count. The judge, or ``advice``, names it.
    REJECTED: The function raises an error.

    In a config nothing is left out. STOPS and STOPS_IF_MANY stop a run, NOTED does not.
    """

    LEFT_OUT = 'left out and counted; above a tenth, the command stops'
    REJECTED = 'the command stops'
    STOPS = 'the run stops'
    STOPS_IF_MANY = 'above a tenth, the run stops'
    NOTED = 'a line says so'
    NONE = '-'  # it cannot occur, or is not looked for


class Rule(NamedTuple):
    """A rule: the problem where it is broken (a phrase), and the remedy (a sentence).

    The functions beside it, a reader, the judge or the subpackage ``checks`` look for what breaks
    it. Messages have its texts, unless the function raises an error of its own. The docs list all
    rules.
    """

    problem: str
    remedy: str
    unit: str = 'image'  # what is left out: images or objects
    in_folder: Effect = Effect.LEFT_OUT  # for train --data and check-data FOLDER
    in_config: Effect = Effect.STOPS  # for training, tests and check-data with a CONFIG


# For a rule that only folders can break:
make_folder_rule = partial(Rule, in_config=Effect.NONE)
# For a rule that only folders can break, and that is only noted:
make_folder_note = partial(make_folder_rule, in_folder=Effect.NOTED)
# For a rule that only configs can break:
make_config_rule = partial(Rule, in_folder=Effect.NONE)

# For each broken rule, all that breaks it: which image or object it is, and its values. Functions
# that add to it expect a defaultdict.
Problems = dict[Rule, list[str]]


class Issue(NamedTuple):
    """A rule that is broken, with examples."""

    rule: Rule
    place: str  # the file or folder, or ''
    examples: Sequence[str] = ()  # all that are known; messages name a few
    stops_run: bool = True  # only for configs

    def format(self, max_examples: int = 3) -> str:
        """Return the place, the problem, its examples and the remedy as a line."""
        text = self.rule.problem
        if self.place:
            text = f'{self.place}: {text}'
        if self.examples:
            count = f'{len(self.examples)} of them: ' if len(self.examples) > 1 else ''
            text += f' ({count}{shorten(self.examples, max_examples)})'
        return f'{text}. {self.rule.remedy}'


@dataclass
class Report:
    """What is wrong with the datasets of a config, and what they contain. The checks add to it."""

    issues: list[Issue]
    notes: list[str]
    summaries: list[str]

    def format_messages(self, stops_run: bool = True) -> list[str]:
        """Return a line for each issue that stops the run, or for each that does not."""
        return [issue.format() for issue in self.issues if issue.stops_run is stops_run]


def make_issues(
    problems: Mapping[Rule, Sequence[str]], place: str, are_many: bool = False
) -> list[Issue]:
    """Return an issue for each rule that has examples.

    ``are_many`` says whether more than :data:`MAX_UNUSABLE` of the objects have problems.
    """
    stopping = (Effect.STOPS, Effect.STOPS_IF_MANY) if are_many else (Effect.STOPS,)
    return [
        Issue(rule, place, examples, rule.in_config in stopping)
        for rule, examples in problems.items()
        if examples
    ]
