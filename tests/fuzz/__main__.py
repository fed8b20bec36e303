"""Run harnesses under atheris: `python -m tests.fuzz --seconds 60 sse urls`.

Each harness runs in a separate process and continues with the corpus of its last run. A failing
input is stored there as `crash-...`, and the process fails.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(
    path.stem
    for path in HERE.glob("*.py")
    if not path.stem.startswith(("_", "test_")) and path.stem != "scripted"
)
LONGEST_INPUT = 4096


def main() -> int:
    """Run the named harnesses, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each of them")
    parser.add_argument("--corpus", type=Path, default=Path(".fuzz"))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no harness {', '.join(unknown)}")
    names = options.names or NAMES
    if options.one:
        run(names[0], options.seconds, options.corpus)
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", "--one", name]
        command += ["--seconds", str(options.seconds), "--corpus", str(options.corpus)]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    print("broken:", ", ".join(failed) or "none")
    return len(failed)


def run(name: str, seconds: int, folder: Path) -> None:
    """Run one harness in this process, which ends afterwards."""
    import atheris

    with atheris.instrument_imports(include=["dashscope", "tests.fuzz"]):
        harness = importlib.import_module(f"tests.fuzz.{name}")
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(harness.SEEDS):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}", "-timeout=60"]
    flags += [f"-artifact_prefix={corpus}/", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([name, *flags, str(corpus)], harness.one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
