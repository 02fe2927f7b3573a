"""What is done with configs and models beside using them; only ``commands`` imports it.

``dry_run`` tries a config on small images; ``benchmark`` measures time and memory of models; ``complexity`` counts
parameters and multiply-adds; ``ablations`` reads, writes and reports the ablation tables. Each is read alone.
"""

from collections.abc import Sequence


def format_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return ''.join(f'| {" | ".join(line)} |\n' for line in [heads, ['---'] * len(heads), *rows])
