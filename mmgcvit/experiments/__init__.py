"""Measure models and report ablation tables. Only commands and configs import these modules.

``benchmark`` measures time and memory, ``complexity`` counts parameters and multiply-adds, ``ablations`` reads and
reports ablation tables, and ``group_accuracy`` is the metric of one of them.
"""

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    return ''.join(f'| {" | ".join(row)} |\n' for row in [header, ['---'] * len(header), *rows])
