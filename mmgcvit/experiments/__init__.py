"""Experiments on configs and models: dry runs, benchmarks, ablation tables. Only ``commands`` imports this package.

``dry_run`` tries a config on small images; ``benchmark`` measures time and memory of models; ``complexity`` counts
parameters and multiply-adds; ``ablations`` reads, writes and reports the ablation tables. None imports another.
"""

from collections.abc import Sequence


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a Markdown table."""
    return ''.join(f'| {" | ".join(row)} |\n' for row in [header, ['---'] * len(header), *rows])
