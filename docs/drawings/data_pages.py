"""``python -m docs.drawings.data_pages`` writes the tables of docs/data_layouts.md and
docs/data_rules.md from the package's lists of layouts and of rules.
"""

from itertools import groupby
from pathlib import Path

from mmgcvit.datasets.formats import FORMATS
from mmgcvit.datasets.rules import (
    classes,
    coco,
    copies,
    images,
    judge,
    objects,
    origins,
    parsing,
)
from mmgcvit.datasets.rules.rule import Rule

DOCS = Path(__file__).parent.parent
LAYOUTS = DOCS / 'data_layouts.md'
RULES_PAGE = DOCS / 'data_rules.md'
# Modules import rules of each other.
RULES = tuple(
    dict.fromkeys(
        each
        for module in (images, judge, origins, copies, objects, coco, classes, parsing)
        for each in vars(module).values()
        if isinstance(each, Rule)
    )
)


def render_layouts() -> str:
    """Return the page with its lists made anew. The text before the first one is kept.

    Layouts of the same tools share a line.
    """
    lines = [read_head(LAYOUTS)]
    for name, data_format in FORMATS.items():
        lines += [f'## {name}', '']
        for tools, layouts in groupby(data_format.LAYOUTS, lambda layout: layout.tools):
            layouts = list(layouts)
            trees = [layout.tree.replace('\n', '`<br>`') for layout in layouts]
            files = '`<br>or<br>`'.join(trees)
            lines.append(f'* [{tools}]({layouts[0].source})<br>`{files}`')
        lines.append('')
    return '\n'.join(lines)


def render_rules() -> str:
    """Return the page with a list for each outcome made anew. The text before is kept.

    What to do stands in the command's output.
    """
    lines = [read_head(RULES_PAGE)]
    rules = {}
    for rule in RULES:
        rules.setdefault((rule.in_folder, rule.in_config), []).append(rule.problem)
    for effects, problems in rules.items():
        places = zip(('In a folder', 'With a CONFIG'), effects, strict=True)
        outcomes = [f'{place}: {effect.value}' for place, effect in places if effect]
        lines.append('## ' + '. '.join(outcomes))
        lines += ['', *(f'* {problem}' for problem in problems), '']
    return '\n'.join(lines)


def read_head(page: Path) -> str:
    """Return the text before the first table's heading."""
    return page.read_text().partition('\n## ')[0].rstrip('\n') + '\n'


if __name__ == '__main__':
    LAYOUTS.write_text(render_layouts())
    RULES_PAGE.write_text(render_rules())
