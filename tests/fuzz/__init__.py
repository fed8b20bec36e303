"""Harnesses: each module has SEEDS and `one_input(data)`, which raises where a promise is broken.

`test_fuzz.py` gives them the seeds, changed seeds and random bytes; `python -m tests.fuzz`
(`nox -s fuzz`) runs them under atheris, which looks for bytes that take new ways through the code.
What it finds becomes a seed.
"""
