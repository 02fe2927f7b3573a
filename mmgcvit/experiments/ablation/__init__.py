"""Training the rows of an ablation's table with several seeds: what its rows are, the runs, what came of them.

The tables are data, configs/ablations/tables.yml; this package knows none of them, and no network.
"""
