"""What is to be learned? Tasks, their formats, and what reads, grades and checks them.

===============  ==========================================================================
`formats`        how a Problem becomes a prompt, an answer is read, a target is written
`readers`        where the answer stands in a text: pure functions
`rows`           from a row of some file to a Problem and its Label; splits; the task of rows
`files`          tasks from .jsonl, .json, .csv and .parquet
`hub`            tasks from Hugging Face data sets
`gsm8k`, `math`  named tasks
`cot`            the 12 tasks of Fine-tune-CoT, GSM8K among them
`registry`       a task by its name, its file or its data set id
`grading`        verdicts on completions that are already there
`conformance`    the checks that every task passes
===============  ==========================================================================
"""
