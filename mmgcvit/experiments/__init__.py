"""Experiments with configs and models: dry run, ablation tables, speed and memory."""
