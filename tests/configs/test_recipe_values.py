"""The numbers of each config are those of docs/recipe_values.md: learning rates, warm-up,
milestones, drop path, weight decay, EMA, images, pixels, heads, scores, and more.

A changed number fails here, and is explained by a source in docs/recipes.md before the table
changes.

Modules: `configs`, `docs/recipe_values.md`.
"""

import re

import pytest

from ..docs.pages import find_tables
from .models import EVERY, FEW
from .recipe_values import (
    TEMPLATE_LINES,
    describe,
    describe_images,
    describe_model,
    describe_template,
    write_lines,
)

VALUES, IMAGES, MODELS, TEMPLATES = find_tables('docs/recipe_values.md')
OTHERS = [pytest.param(name, marks=pytest.mark.long) for name in EVERY if name not in FEW]


def find_row(table, name):
    """Return the values of a config in a table, by column."""
    (row,) = [row for row in table[1:] if name in re.findall('`(.*?)`', row[0])]
    return dict(zip(table[0][1:], row[1:], strict=True))


@pytest.mark.parametrize('name', [*FEW, *OTHERS])
def test_a_config_has_the_values_of_the_table(name):
    assert describe(name) == find_row(VALUES, name)


@pytest.mark.parametrize('name', EVERY)
def test_images_are_read_as_the_table_says(name):
    assert describe_images(name) == find_row(IMAGES, name)


@pytest.mark.parametrize('name', EVERY)
def test_a_model_and_its_scores_have_the_settings_of_the_table(name):
    assert describe_model(name) == find_row(MODELS, name)


@pytest.mark.parametrize('name', TEMPLATE_LINES)
def test_the_first_lines_of_a_template_change_what_the_table_says(name):
    rows = {row[0]: dict(zip(TEMPLATES[0][1:], row[1:], strict=True)) for row in TEMPLATES[1:]}
    variants = TEMPLATE_LINES[name]
    for lines in variants:
        assert describe_template(name, lines) == rows[write_lines(name, lines)]
    assert sum(row.startswith(f'`{name}`') for row in rows) == len(variants)


@pytest.mark.parametrize('table', [VALUES, IMAGES, MODELS], ids=['values', 'images', 'models'])
def test_the_table_lists_each_config_once(table):
    named = [name for row in table[1:] for name in re.findall('`(.*?)`', row[0])]
    assert sorted(named) == EVERY
