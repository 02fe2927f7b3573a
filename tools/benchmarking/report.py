"""Results as Markdown for people, JSON for programs, and plots."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass
class Table:
    """A Markdown table with a line above it."""

    caption: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [self.columns, ['---'] * len(self.columns), *self.rows]
        return f'{self.caption}\n\n' + '\n'.join('| ' + ' | '.join(map(str, line)) + ' |' for line in lines)


@dataclass(frozen=True)
class Series:
    """Values over a growing quantity."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def slope(self) -> float:
        """In a log-log plot, by least squares: 1 where y grows in proportion to x; nan of a single point."""
        if len(self.x) < 2:
            return float('nan')
        return float(np.polyfit(np.log(self.x), np.log(self.y), 1)[0])


def machine_in_words(device: str) -> str:
    """What kind of machine this is."""
    threads = f'{torch.get_num_threads()} threads'
    chip = torch.cuda.get_device_name() if device == 'cuda' else f'{processor_name()}, {threads}'
    return f'{chip}; torch {torch.__version__}'


def processor_name() -> str:
    """The processor's name, as Linux tells it, and its widest vectors."""
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'{names[0] if names else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}'


def save_report(folder: Path, name: str, heading: str, tables: Sequence[Table], data: Mapping[str, Any]) -> str:
    """Write NAME.md and NAME.json into a folder, and return the Markdown."""
    text = '\n\n'.join([heading, *map(str, tables)]) + '\n'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{name}.md').write_text(text)
    (folder / f'{name}.json').write_text(json.dumps(data, indent=2) + '\n')
    return text


def plot_bars(file: Path, title: str, values: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Horizontal bars: for each group, by its name, a bar for each model."""
    plt = pyplot()
    groups = list(values)
    figure, all_axes = plt.subplots(len(groups), squeeze=False, figsize=(8, 0.6 + sum(map(height_of, values.values()))))
    for axes, group in zip(all_axes.flat, groups, strict=True):
        names = list(values[group])
        bars = axes.barh(names, [values[group][name] for name in names], color=[f'C{i}' for i in range(len(names))])
        axes.bar_label(bars, fmt='%.3g', padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.set_title(group, fontsize=10, loc='left')
        axes.set_xlabel(unit)
    figure.suptitle(title)
    save_figure(figure, file)


def height_of(bars: Mapping[str, float]) -> float:
    """Inches for a group of bars."""
    return 0.9 + 0.3 * len(bars)


def plot_growth(file: Path, title: str, x_label: str, panels: Mapping[str, Sequence[Series]]) -> None:
    """Log-log plots, one for each panel by the name of what it shows, with the slopes in the legend."""
    plt = pyplot()
    figure, all_axes = plt.subplots(1, len(panels), squeeze=False, figsize=(5.5 * len(panels), 4.5))
    for axes, (y_label, lines) in zip(all_axes.flat, panels.items(), strict=True):
        for line in lines:
            axes.loglog(line.x, line.y, marker='o', label=f'{line.name}: slope {line.slope:.2f}')
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(which='both', alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(title)
    save_figure(figure, file)


def pyplot() -> Any:
    """matplotlib, drawing into files only."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    return plt


def save_figure(figure: Any, file: Path) -> None:
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)
