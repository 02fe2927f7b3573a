"""``python -m docs.drawings.data_pages`` writes the tables of docs/data_layouts.md and
docs/data_rules.md from the package's lists of layouts and of rules.
"""

import re
from itertools import chain, groupby
from pathlib import Path

from mmgcvit.datasets.rules import coco, images, objects
from mmgcvit.datasets.rules.rule import Rule
from mmgcvit.own.data.formats import FORMATS
from mmgcvit.own.data.rules import classes, copies, judge, origins, parsing
from mmgcvit.own.data.rules import images as folder_images
from mmgcvit.own.data.rules import objects as folder_objects

DOCS = Path(__file__).parent.parent
LAYOUTS = DOCS / 'data_layouts.md'
RULES_PAGE = DOCS / 'data_rules.md'
# The headings of the tables of rules, and the modules whose rules they have.
SUBJECTS = {
    'Images and their maps': (folder_images, images),
    'Splits, copies and labels that a model made': (judge, origins, copies),
    'Objects': (objects, folder_objects),
    'Files of annotations': (coco, parsing),
    'Names of classes': (classes,),
}


def list_rules_by_subject() -> dict[str, list[Rule]]:
    """Return the rules of each subject. Modules import rules of each other: the first one has it."""
    rules = {}
    listed = set()
    for subject, modules in SUBJECTS.items():
        rules[subject] = []
        for module in modules:
            for each in vars(module).values():
                if isinstance(each, Rule) and each not in listed:
                    listed.add(each)
                    rules[subject].append(each)
    return rules


# What is code in the sentences of rules: options, names with dots or underscores, and lines of Python,
# which end a sentence.
CODE = re.compile(
    r'(?:PIL\.|for i, page in ).*$|--task detect|--[a-z]+(?:-[a-z]+)*'
    r'|[A-Za-z]\w*(?:[._]\w+)+'
)
RULES = tuple(chain.from_iterable(list_rules_by_subject().values()))


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
    """Return the page with a table for each subject made anew. The text before is kept."""
    lines = [read_head(RULES_PAGE)]
    for subject, rules in list_rules_by_subject().items():
        lines += [
            f'## {subject}',
            '',
            '| what | in a folder | with a CONFIG | what to do |',
            '|---|---|---|---|',
            *(render_rule(rule) for rule in rules),
            '',
        ]
    return '\n'.join(lines)


def render_rule(rule: Rule) -> str:
    """Return the row of a rule."""
    in_folder = rule.in_folder.value if rule.in_folder else ''
    in_config = rule.in_config.value if rule.in_config else ''
    if rule.in_scoring:
        in_config += f'; in validation and test {rule.in_scoring.value}'
    cells = [mark_code(rule.problem), in_folder, in_config, mark_code(rule.remedy)]
    return '| ' + ' | '.join(cell.replace('|', r'\|') for cell in cells) + ' |'


def mark_code(text: str) -> str:
    """Return a sentence of a rule with its code as Markdown, so that it can be copied."""
    return CODE.sub(r'`\g<0>`', text)


def read_head(page: Path) -> str:
    """Return the text before the first table's heading."""
    return page.read_text().partition('\n## ')[0].rstrip('\n') + '\n'


if __name__ == '__main__':
    LAYOUTS.write_text(render_layouts())
    RULES_PAGE.write_text(render_rules())
