"""What is in data, and what is wrong with them, as tables."""

from rich.table import Table
from rich.text import Text

from ..datasets.checks import Contents, Outcome, Report

MOST_ROWS = 200
STYLES = {Outcome.STOPS: 'red', Outcome.LEFT_OUT: 'yellow', Outcome.REPAIRED: 'green'}


def table_of(report: Report) -> Table:
    """The problems, those that stop a run first, with their number and examples."""
    table = Table('outcome', show_lines=True)
    table.add_column('number', justify='right')
    for name in ('problem', 'where'):
        table.add_column(name, overflow='fold')
    for outcome, style in STYLES.items():
        for (place, kind), found in report.of(outcome).items():
            where = '\n'.join([place, *(f'  {example}' for example in found.examples)])
            table.add_row(
                Text(outcome.value, style=style), str(found.count), Text(f'{kind.what}: {kind.remedy}'), Text(where)
            )
    return table


def contents_table(contents: Contents) -> Table:
    """How much a data set holds of each class."""
    table = Table(contents.columns[0])
    for name in contents.columns[1:]:
        table.add_column(name, justify='right')
    for row in contents.rows[:MOST_ROWS]:
        table.add_row(*map(Text, row))
    if len(contents.rows) > MOST_ROWS:
        table.add_row(f'and {len(contents.rows) - MOST_ROWS} more')
    return table
