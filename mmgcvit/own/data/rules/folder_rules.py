"""Make rules that only folders of data can break."""

from functools import partial

from ....datasets.rules.rule import FolderEffect, Rule

make_folder_rule = partial(Rule, in_config=None)
# For a rule of which a broken one is only noted:
make_folder_note = partial(make_folder_rule, in_folder=FolderEffect.NOTED)
