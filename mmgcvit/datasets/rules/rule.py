"""A rule for datasets, what follows where it is broken, and what breaks it.

A function finds what breaks a rule and returns :class:`Finding`s; it changes nothing. Then the
rule's effect is executed: for a folder by ``own/data/rules/judge.py``, for the datasets of a config
by :func:`make_issues` and the command that prints the issues.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from ...errors import shorten

# The largest fraction of the images, and of the objects, of a split that may be unusable
MAX_UNUSABLE = 0.1


class FolderEffect(Enum):
    """What follows where a rule is broken in a folder. The values are texts of the docs."""

    LEFT_OUT = 'left out, up to a tenth'  # of the images, or of the objects, of a split
    DROPPED = 'left out'  # copies, of which one stays
    READ_AS_OBJECT = 'read as objects'
    NOTED = 'a line says so'
    REJECTED = 'the command stops'


class ConfigEffect(Enum):
    """What follows where a rule is broken in a dataset of a config, from which nothing is left out.

    The values are texts of the docs.
    """

    STOPS = 'the run stops'
    STOPS_IF_MANY = 'the run stops above a tenth'
    NOTED = 'a line says so'


@dataclass(frozen=True)
class Rule:
    """A rule: the problem where it is broken (a phrase), the remedy (a sentence), and its effects.

    Messages have its texts. The docs list all rules.
    """

    problem: str
    remedy: str
    unit: str = 'image'  # what is left out: images or objects
    # For a folder of data, which is trained or checked; None: it is not looked for there.
    in_folder: FolderEffect | None = FolderEffect.LEFT_OUT
    # For training, tests and check-data with a CONFIG; None: it is not looked for there.
    in_config: ConfigEffect | None = ConfigEffect.STOPS
    # For the validation and test datasets of a config, if it is another one.
    in_scoring: ConfigEffect | None = None


# For a rule that only configs can break:
make_config_rule = partial(Rule, in_folder=None)


@dataclass(frozen=True)
class Finding:
    """An image, an object, a line or the like that breaks a rule."""

    rule: Rule
    example: str  # which one it is, and its values
    message: str = ''  # a whole sentence, if the rule's texts do not say enough
    split: str = ''  # in which it was found, if its finder knows it


@dataclass(frozen=True)
class Issue:
    """A rule that is broken, with all that is known to break it. Messages name a few of these."""

    rule: Rule
    place: str  # the file or folder, or ''
    examples: Sequence[str] = ()
    stops_run: bool = True  # only for configs
    message: str = ''  # instead of the place, the rule's texts and the examples

    def format(self, max_examples: int = 3) -> str:
        """Return the place, the problem, its examples and the remedy as a line."""
        if self.message:
            return self.message
        text = self.rule.problem
        if self.place:
            text = f'{self.place}: {text}'
        if self.examples:
            count = f'{len(self.examples)} of them: ' if len(self.examples) > 1 else ''
            text += f' ({count}{shorten(self.examples, max_examples)})'
        return f'{text}. {self.rule.remedy}'


@dataclass(frozen=True)
class Report:
    """What is wrong with datasets of a config, and what they contain."""

    issues: Sequence[Issue] = ()
    notes: Sequence[str] = ()
    summaries: Sequence[str] = ()

    def __add__(self, other: 'Report') -> 'Report':
        return Report(
            issues=[*self.issues, *other.issues],
            notes=[*self.notes, *other.notes],
            summaries=[*self.summaries, *other.summaries],
        )

    def format_messages(self, stops_run: bool = True) -> list[str]:
        """Return a line for each issue that stops the run, or for each that does not."""
        return [issue.format() for issue in self.issues if issue.stops_run is stops_run]


def make_findings(rule: Rule, examples: Iterable[str], split: str = '') -> list[Finding]:
    """Return a finding for each example. ``split`` is that of all of them."""
    return [Finding(rule, example, split=split) for example in examples]


def make_issues(
    findings: Iterable[Finding],
    place: str = '',
    *,
    are_many: bool = False,
    is_scored: bool = False,
) -> list[Issue]:
    """Return an issue for each rule that is broken, and one for each finding with its own message.

    Args:
        findings: What breaks rules.
        place: The file or folder in which it was found.
        are_many: Whether more than :data:`MAX_UNUSABLE` of a config's objects break rules.
        is_scored: Whether it is a config's dataset for validation or test.
    """
    examples: dict[Rule, list[str]] = {}
    issues = []
    for finding in findings:
        if finding.message:
            issues.append(Issue(finding.rule, place, [finding.example], message=finding.message))
        else:
            examples.setdefault(finding.rule, []).append(finding.example)
    for rule, own in examples.items():
        effect = rule.in_config
        if is_scored and rule.in_scoring:
            effect = rule.in_scoring
        stops_run = effect is ConfigEffect.STOPS
        if effect is ConfigEffect.STOPS_IF_MANY:
            stops_run = are_many
        issues.append(Issue(rule, place, own, stops_run))
    return issues
