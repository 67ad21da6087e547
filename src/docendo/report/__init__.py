"""How is it shown? Progress while a run works; its result as text, as JSON and as one HTML page.

Everything is read from the workspace; nothing is computed that ``result.json`` does not already judge.
"""
