"""The tests. This file runs before `conftest.py` imports anything."""

import os
import sys

# Tests start hundreds of processes. Without bytecode files, each would compile the package again,
# which takes a second, and each worker would compile the libraries that the tests import.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
