"""The rules for datasets. docs/data_rules.md lists them all.

Functions return a ``Finding`` for what breaks a rule, and change nothing; then the rule's effect is
executed. For the datasets of a config, ``datasets/checks`` calls the functions, and ``make_issues``
says what stops a run. For a folder, the readers of ``own/data/formats`` and ``own/data/rules`` call
them, and ``own/data/rules/judge.py`` executes the effects. The rules that only folders can break
are in ``own/data/rules``.
"""
