"""The 12 tasks of Fine-tune-CoT (Ho et al. 2023, arXiv:2212.10071), as its authors put, split and read them.

=============  ==============================================================================
`catalogue`    what tells the tasks apart: one table
`named`        the tasks by name
`sources`      where rows are read: local files in three layouts, the hub
`upstream`     from a row in the form of its publisher to question, choices and answer
`splits`       the published train and test problems, template splits, subsets of train
`answers`      how the authors' code reads answers and compares them
`formats`      prompts and targets as published
`exemplars`    the few-shot prompts
=============  ==============================================================================

``[code]`` in these modules is the authors' released repository, itsnamgyu/reasoning-teacher.
"""
