"""What is done with configs and models beside using them: dry runs, ablation tables, speed and memory.

Only ``commands`` imports this room, and the registry, for the hook that observes a rehearsal. Each file, or pair, is
one experiment: ``shrinking`` makes a config small, which ``rehearsal`` runs; ``ablations`` keeps account of tables and
their trainings; ``speed`` times whole models and ``benchmark`` backbones, both by ``measuring``;
``complexity`` counts. Begin with ``rehearsal``: the commands of a real run.
"""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return ''.join(f'| {" | ".join(line)} |\n' for line in [heads, ['---'] * len(heads), *rows])
