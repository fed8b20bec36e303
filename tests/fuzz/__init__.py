"""Fuzz harnesses: each module has SEEDS and a function `one_input(data)` that raises on a bug.

`test_fuzz.py` runs them with the seeds, mutated seeds and random bytes. `python -m tests.fuzz`
(`nox -s fuzz`) runs them under atheris, which searches for inputs with new coverage. Add each
failing input to the seeds.
"""
