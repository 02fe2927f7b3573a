"""Make findings of a folder's splits, print them, and reject a folder for them."""

from collections.abc import Iterable, Mapping

from ....datasets.rules.rule import Finding, FolderEffect, Rule, make_findings, make_issues
from ....errors import UserError


def make_split_findings(
    rule: Rule, examples_by_split: Mapping[str, Iterable[str]]
) -> list[Finding]:
    """Return a finding for each example in each split."""
    found = []
    for split, examples in examples_by_split.items():
        found += make_findings(rule, examples, split)
    return found


def format_findings(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each rule that is broken, or for each finding with its own message."""
    return [issue.format() for issue in make_issues(findings)]


def reject_broken(findings: Iterable[Finding], place: str = '') -> None:
    """Raise a UserError for what breaks a rule with the effect REJECTED, if anything does."""
    rejected = [each for each in findings if each.rule.in_folder is FolderEffect.REJECTED]
    if rejected:
        raise UserError(make_issues(rejected, place)[0].format())
