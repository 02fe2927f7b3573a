"""Experiments on configs and models: dry runs, benchmarks, ablation tables. Only commands and configs import them.

``dry_run`` tries a config on small images. ``benchmark`` measures time and memory of models. ``complexity`` counts
parameters and multiply-adds. ``ablations`` reads and reports ablation tables. One table's metric is ``group_accuracy``.
"""

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    return ''.join(f'| {" | ".join(row)} |\n' for row in [header, ['---'] * len(header), *rows])
