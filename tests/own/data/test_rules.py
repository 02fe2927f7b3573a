"""Each rule of the list holds for each split, task and command: one table (``mutations.py``)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mmengine.config import Config

from docs.drawings.data_pages import RULES
from mmgcvit.commands.mistakes import load_split
from mmgcvit.datasets.rules.rule import ConfigEffect, FolderEffect, Rule
from mmgcvit.engine.data import check_data
from mmgcvit.errors import UserError
from mmgcvit.host.config import LOADERS
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.data.rules.classes import find_few_scored, find_missing_classes
from mmgcvit.own.data.rules.findings import format_findings
from mmgcvit.own.training.config import make_config
from mmgcvit.predict.model_files import ModelFiles

from ...datasets.checks.made import check
from .mutations import (
    CONFIG,
    FOLDER,
    FOLDER_ONLY,
    MUTATIONS,
    REASONS,
    SPLITS,
    Mutation,
    Place,
    rotate,
    says,
    write_dataset,
)

TASKS = ('detect', 'segment', 'semantic', 'classify')


@dataclass(frozen=True)
class Case:
    """A mutation of a number of photos of a split, in one place."""

    mutation: Mutation
    place: Place
    split: str
    number: int  # of photos: 1, or 3, which are above a tenth of the split

    def __str__(self) -> str:
        return f'{self.mutation.name}-{self.place}-{self.split}-{self.number}'


def find_reasons(rule: Rule, split: str, task: str, reader: str) -> list[str]:
    """Return why a rule has no mutation in a cell of the table."""
    return [reason.text for reason in REASONS if reason.covers(rule, split, task, reader)]


def list_cases(reader: str) -> Iterator[Case]:
    """Yield all mutations in all places of a reader, and splits: two numbers if a tenth counts."""
    for mutation in MUTATIONS:
        rule = mutation.breaks
        effect = rule.in_config if reader == CONFIG else rule.in_folder
        counts = effect in (FolderEffect.LEFT_OUT, ConfigEffect.STOPS_IF_MANY)
        for place in mutation.places:
            if place.reader != reader:
                continue
            for split in mutation.splits:
                for number in (1, 3) if counts else (1,):
                    yield Case(mutation, place, split, number)


def mark_further_cases(cases: list[Case], get_kind: Callable[[Case], object]) -> list[object]:
    """Mark all cases of a kind but its first as slow."""
    tried = set()
    marked = []
    for case in cases:
        kind = get_kind(case)
        marks = [pytest.mark.slow] if kind in tried else []
        tried.add(kind)
        marked.append(pytest.param(case, marks=marks, id=str(case)))
    return marked


def get_rule(case: Case) -> object:
    return case.mutation.breaks


def get_effects(case: Case) -> object:
    """A config's cases take ten times as long as a folder's."""
    rule = case.mutation.breaks
    return rule.in_config, rule.in_scoring, case.place.data_format


FOLDER_CASES = list(list_cases(FOLDER))
CONFIG_CASES = list(list_cases(CONFIG))


def get_task_option(place: Place) -> str | None:
    """Return what ``--task`` must say: nothing where it is the default."""
    is_default = place.data_format in ('yolo', 'voc', 'lists', 'classes')
    is_default_of_coco = place.data_format == 'coco' and place.task == 'segment'
    return None if is_default or is_default_of_coco else place.task


@pytest.mark.parametrize('case', mark_further_cases(FOLDER_CASES, get_rule))
def test_a_broken_rule_has_its_effect_in_a_folder(case, tmp_path):
    """One of the photos of a split breaks it, or three: more than a tenth of this split alone.

    train --data and check-data read folders with one function.
    """
    rule = case.mutation.breaks
    task = get_task_option(case.place)
    files = write_dataset(case.place.data_format, case.mutation, case.number, tmp_path, case.split)
    if case.mutation.change_files:
        for image, label in files:
            case.mutation.change_files(image, label)
    is_left_out = rule.in_folder == FolderEffect.LEFT_OUT
    if rule.in_folder == FolderEffect.REJECTED or (is_left_out and case.number == 3):
        with pytest.raises(UserError) as error:
            read_folder(tmp_path, task)
        assert says(rule, str(error.value))
        return
    dataset = read_folder(tmp_path, task)
    findings = [*find_missing_classes(dataset), *find_few_scored(dataset)]
    text = '\n'.join([str(dataset), *format_findings(findings)])
    assert says(rule, text)
    problems = re.findall(rf'(\d) problems? in \d+ {rule.unit}', text)
    assert problems in ([], ['1'], ['2'])
    assert bool(problems) == is_left_out
    if is_left_out:
        stem = files[-1][0].stem
        names = rf'\b{stem}(\\t)?\.(jpg|png|txt|xml)|no {stem}|json annotations\['
        assert re.search(names, text)


@dataclass(frozen=True)
class ConfigCommand:
    """A command that checks the data of a config: which splits, and how."""

    splits: tuple[str, ...]
    run: Callable[[ModelFiles], object]


def load_val(files: ModelFiles) -> None:
    load_split(files, 'val', ())


def load_test(files: ModelFiles) -> None:
    load_split(files, 'test', ())


CONFIG_COMMANDS = {
    'train': ConfigCommand(('train', 'val'), lambda files: check_data(files.cfg, LOADERS[:2])),
    'test': ConfigCommand(('test',), lambda files: check_data(files.cfg, LOADERS[2:])),
    'mistakes': ConfigCommand(('val',), load_val),
    'mistakes --split test': ConfigCommand(('test',), load_test),
}


@pytest.mark.parametrize('case', mark_further_cases(CONFIG_CASES, get_effects))
def test_a_broken_rule_has_its_effect_in_a_config(case, tmp_path, capsys):
    """check-data checks all splits. The other commands say the same of those that they read, and
    nothing of others.
    """
    rule = case.mutation.breaks
    root = tmp_path / 'data'
    data_format = case.place.data_format
    files = write_dataset(data_format, case.mutation, case.number, root, case.split)
    dataset = read_folder(root, get_task_option(case.place))
    path, _ = make_config(dataset, tmp_path / 'run', case.place.task, size='mini')
    cfg = Config.fromfile(path)
    settings = cfg[f'{case.split}_dataloader'].dataset
    if case.mutation.change_files:
        for image, label in files:
            changed = label if data_format == 'maps' else Path(settings.ann_file)
            case.mutation.change_files(image, changed)
    if case.mutation.change_files is rotate:
        settings.pipeline.pop(1)
    effect = rule.in_config
    if case.split != 'train' and rule.in_scoring:
        effect = rule.in_scoring
    is_many = case.number == 3
    stops_run = effect == ConfigEffect.STOPS or (effect == ConfigEffect.STOPS_IF_MANY and is_many)
    report = check(cfg)
    assert says(rule, '\n'.join([*report.format_messages(stops_run), *report.notes]))
    model_files = ModelFiles(path, 'x.pth', cfg)
    for name, command in CONFIG_COMMANDS.items():
        capsys.readouterr()
        text = ''
        try:
            command.run(model_files)
        except UserError as error:
            text = str(error)
        reads_it = case.split in command.splits
        assert (text != '') == (reads_it and stops_run), (name, text)
        text += capsys.readouterr().err
        assert says(rule, text) == reads_it, (name, text)


@pytest.mark.parametrize('reader', [FOLDER, CONFIG])
def test_each_rule_has_a_case_or_a_reason_for_each_split_task_and_reader(reader):
    """The table is made of the list of rules: a new rule needs cases, or says why it has none."""
    cases = FOLDER_CASES if reader == FOLDER else CONFIG_CASES
    tried = {(case.mutation.breaks, case.split, case.place.task) for case in cases}
    for rule in RULES:
        for split in SPLITS:
            for task in TASKS:
                cell = f'{rule.problem!r}: {split}, {task}, {reader}'
                is_tried = (rule, split, task) in tried
                reasons = find_reasons(rule, split, task, reader)
                assert is_tried or reasons, f'{cell} has neither a mutation nor a reason'
                assert not (is_tried and reasons), (
                    f'{cell} has a mutation, and the reason {reasons}'
                )


def test_rules_that_configs_cannot_break_have_a_reason():
    assert {*FOLDER_ONLY} == {rule for rule in RULES if not rule.in_config}
