"""One session per promise of the project. `nox -l` lists them; `nox` runs the quick ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"
nox.options.sessions = ["lint", "types", "generated", "tests", "examples", "build"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PINS = "tests/constraints.txt"
# These tests run the local server, POSIX signals or forks, so they are skipped on Windows.
POSIX_ONLY = (
    *("cli", "client", "functions", "integrations", "interop", "local", "runtime", "testing"),
    *(
        "batch/test_kill.py",
        "faults/test_concurrent_faults.py",
        "test_examples.py",
        "types/test_notebook.py",
    ),
)
PROJECT = nox.project.load_toml("pyproject.toml")


def groups(*names: str) -> tuple[str, ...]:
    return nox.project.dependency_groups(PROJECT, *names)


def install(session: nox.Session, *extra: str) -> None:
    session.install("-c", PINS, "-e", ".[all]", *groups("test"), *extra)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests pass on each supported Python."""
    install(session)
    ignored = POSIX_ONLY if sys.platform == "win32" else ()
    options = [f"--ignore=tests/{name}" for name in ignored]
    session.run("python", "-m", "pytest", *options, *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """The tests cover at least 95% of the package's lines and branches."""
    install(session)
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report", "--fail-under=95")


@nox.session
def lint(session: nox.Session) -> None:
    """The code is formatted and free of lint, and its imports follow the layers."""
    session.install("-e", ".", *groups("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy and pyright find no error in strict mode."""
    install(session, *groups("types"))
    session.run("mypy")
    session.run("pyright")


@nox.session
def generated(session: nox.Session) -> None:
    """The generated sync client matches the async client."""
    install(session)
    session.run("python", "-m", "pytest", "-q", "tests/sync/test_facade.py")


@nox.session
def generate(session: nox.Session) -> None:
    """Regenerate the sync client."""
    install(session)
    session.run("python", "-m", "dashscope._sync.generate")


@nox.session
def examples(session: nox.Session) -> None:
    """Every example of the README, the guides and the docstrings runs."""
    install(session)
    session.run("python", "-m", "pytest", "-q", "tests/test_examples.py")


@nox.session
def api(session: nox.Session) -> None:
    """Update the list of public names, after the CHANGELOG describes the change."""
    install(session)
    session.run("python", "-m", "tests.unit.public_api")


@nox.session(reuse_venv=False)
def pin(session: nox.Session) -> None:
    """Pin the newest versions of the test dependencies in `tests/constraints.txt`."""
    session.install("-e", ".[all]", *groups("test"))
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude-editable", silent=True)
    assert isinstance(frozen, str)
    pins = sorted(line for line in frozen.splitlines() if "==" in line)
    heading = Path(PINS).read_text("utf-8").splitlines()[0]
    Path(PINS).write_text("\n".join([heading, *pins, ""]), "utf-8")


@nox.session
def docs(session: nox.Session) -> None:
    """The site builds from the guides and docstrings without a warning, and its links work.

    `nox -s docs -- FOLDER` copies the site to a folder.
    """
    install(session, *groups("docs"))
    folder = Path(session.create_tmp()).resolve() / "site"
    session.run("python", "-m", "dashscope", "docs", silent=True)
    environment = {"PYTHONPATH": str(Path.cwd())}
    script = str(Path(".github/site/build.py").resolve())
    session.run("python", script, "prepare", str(folder), env=environment)
    with session.chdir(folder):  # the configuration must be above the guides
        session.run("zensical", "build", "--clean", "--strict")
    session.run("python", script, "check", str(folder / "site"), env=environment)
    if session.posargs:
        shutil.copytree(folder / "site", session.posargs[0], dirs_exist_ok=True)
    session.log("The site: %s/site/index.html", folder)


@nox.session
def audit(session: nox.Session) -> None:
    """No required dependency has a known vulnerability (asks the advisory service of PyPI)."""
    session.install("pip-audit")
    required = Path(session.create_tmp()) / "required.txt"
    required.write_text("\n".join(PROJECT["project"]["dependencies"]))
    session.run("pip-audit", "--strict", "--progress-spinner", "off", "-r", str(required))


@nox.session
def build(session: nox.Session) -> None:
    """The wheel installs in an empty environment, and importing it loads no extra."""
    _build(session)
    python = _empty(session, sys.executable)
    session.run(python, "-m", "pip", "install", "-q", *_built("*.whl"), external=True)
    session.run(python, "-W", "error", "-c", IMPORTS_NO_EXTRA, external=True)


FOREIGN_PYTHON = (
    ("REPLICATE_1", "replicate==1.0.7"),
    ("REPLICATE_2", "replicate[aiohttp]==2.0.0b4"),
    ("LANGCHAIN", "langchain-community==0.4.2", "replicate==1.0.7"),
    ("LLAMA_INDEX", "llama-index-llms-replicate==0.7.0", "replicate==1.0.7"),
)
FOREIGN_NPM = ("replicate@1.4.0", "ai@6.0.326", "@ai-sdk/replicate@2.0.57")


@nox.session
def release(session: nox.Session) -> None:
    """Everything for a release is ready: the changelog, the wheel and the sdist.

    Tests both in empty environments, on each supported Python that is installed.
    """
    notes = Path(session.create_tmp()).resolve() / "notes.md"
    session.run("python", ".github/release.py", str(notes))
    _build(session)
    (wheel,), (sdist,) = _built("*.whl"), _built("*.tar.gz")
    sources = Path(session.create_tmp()).resolve() / "sdist"
    shutil.rmtree(sources, ignore_errors=True)
    session.run("python", "-m", "tarfile", "-e", sdist, str(sources), silent=True)
    (unpacked,) = sources.iterdir()
    shutil.rmtree(unpacked / "dashscope")  # so that the tests import the installed package
    tested = []
    for python in filter(_starts, (f"python{version}" for version in PYTHONS)):
        empty = _empty(session, python)
        session.run(empty, "-m", "pip", "install", "-q", sdist, external=True)
        session.run(empty, "-W", "error", "-c", IMPORTS_NO_EXTRA, external=True)
        full = _empty(session, python)
        session.run(
            *(full, "-m", "pip", "install", "-q", "-c", PINS, f"{wheel}[all]", *groups("test")),
            external=True,
        )
        with session.chdir(unpacked):
            # Temporary folders must not be below the project: pytest would read its settings.
            temporary = {"TMPDIR": tempfile.gettempdir()}
            session.run(
                *(full, "-m", "pytest", "-q", "-n", "2", *RELEASE_TESTS),
                external=True,
                env=temporary,
            )
        tested.append(python)
    version = Path(wheel).name.split("-")[1]
    session.log("Tested with %s. Next:", ", ".join(tested))
    print(
        f"    git add CHANGELOG.md && git commit -m 'release: {version}'\n"
        f"    git tag -a v{version} -F {notes}\n"
        f"    git push origin main v{version}\n"
        "The push starts .github/workflows/release.yml, which publishes to PyPI."
    )


@nox.session
def foreign(session: nox.Session) -> None:
    """Other clients work with the local server unchanged (needs node and npm)."""
    install(session)
    folder = Path(session.create_tmp()).resolve()
    environment = {"FOREIGN_NODE_MODULES": str(folder / "npm")}
    for name, *requirements in FOREIGN_PYTHON:
        python = folder / name / "bin" / "python"
        session.run("python", "-m", "venv", "--clear", str(python.parents[1]))
        session.run(str(python), "-m", "pip", "install", "-q", *requirements, external=True)
        environment[f"FOREIGN_{name}"] = str(python)
    session.run("npm", "install", "--prefix", str(folder / "npm"), *FOREIGN_NPM, external=True)
    session.run(
        "python", "-m", "pytest", "tests/local/foreign", "-m", "foreign", *session.posargs,
        env=environment,
    )  # fmt: skip


@nox.session
@nox.parametrize("tools", ["httpx", "functions"])
def interop(session: nox.Session, tools: str) -> None:
    """A client works with the tools that people use with httpx, and those that take functions."""
    if tools == "httpx":
        install(session, *groups("interop"))
        session.run("python", "-m", "pytest", "tests/interop", *session.posargs)
    else:  # gradio and others need newer or older packages than the constraints of the tests
        session.install("-e", ".[all]", *groups("functions"))
        session.run("python", "-m", "pytest", "tests/interop/functions", *session.posargs)


@nox.session
@nox.parametrize("engine", ["ray", "spark"])
def distributed(session: nox.Session, engine: str) -> None:
    """Workers of real engines share checkpoints and rates (needs Debian's postgresql and Java)."""
    # Do not use the constraints of the other tests: engines pin their own dependencies.
    session.install("-e", ".[local,parquet,postgres]", *groups(f"distributed-{engine}"))
    session.run(
        "python", "-m", "pytest", "-m", "distributed", "tests/distributed", *session.posargs
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Compare the client with its peers: `-- --quick`, `-- --only requests,streams`."""
    session.install(*groups("bench"))
    folder = Path(session.create_tmp()).resolve() / "peers"
    session.run("python", "-m", "benchmarks", "--environments", str(folder), *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The local server's pages work in a browser (needs Debian's chromium).

    Replaces the screenshot in the README.
    """
    install(session, *groups("browser"))
    session.run(
        "python", "-m", "pytest", "tests/local/page", "-m", "browser", *session.posargs,
        env={"DASHSCOPE_SCREENSHOT": "1"},
    )  # fmt: skip


@nox.session
def soak(session: nox.Session) -> None:
    """The slow tests pass: storms, kills, random inputs and others (needs Debian's nginx-light)."""
    install(session, *groups("soak"))
    options = ["-m", "soak or hypothesis", "--timeout", "1200", "--hypothesis-profile", "search"]
    session.run("python", "-m", "pytest", *options, *session.posargs)


@nox.session
def mutations(session: nox.Session) -> None:
    """The tests catch at least 19 of 20 mistakes in the client: `-- 3 7` tries only these."""
    install(session)
    session.run("python", "-m", "tests.mutations", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Search for inputs that break parsers and encoders: `-- --seconds 60 sse pages`."""
    install(session, *groups("fuzz"))
    session.run("python", "-m", "tests.fuzz", *session.posargs)


RELEASE_TESTS = (
    *("tests/predictions/test_run.py", "tests/resources/test_operations.py"),
    *("tests/cli/test_run.py", "tests/local/test_predictions.py", "tests/testing/test_server.py"),
)


def _build(session: nox.Session) -> None:
    session.install("build", "twine")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *_built("*"))
    session.run("python", "-c", HAS_ITS_PAGES, *_built("*.whl"))


def _starts(python: str) -> bool:
    """Tell whether a Python is installed, rather than only a shim of pyenv for it."""
    found = shutil.which(python)
    return found is not None and subprocess.run([found, "--version"], check=False).returncode == 0


def _empty(session: nox.Session, python: str) -> str:
    """Make an empty environment, and return its Python."""
    folder = f"{session.create_tmp()}/empty"
    session.run(python, "-m", "venv", "--clear", folder, external=True)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    return str(Path(folder, scripts, "python").absolute())


def _built(pattern: str) -> list[str]:
    return [str(path.absolute()) for path in Path("dist").glob(pattern)]


HAS_ITS_PAGES = """
import re, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
names = set(wheel.namelist())
pages = "dashscope/local/pages"
for name in ("assets/page.css", "assets/page.js", "assets/icon.svg", "templates/base.html"):
    assert f"{pages}/{name}" in names, name
for name in ("quickstart", "batches", "troubleshooting"):
    assert f"dashscope/guides/{name}.md" in names, name
assert not [name for name in names if name.endswith(".png")]
(metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
links = re.findall(r"\\]\\(([^)]*)\\)", wheel.read(metadata).decode())
assert len(links) > 20
assert not [link for link in links if not link.startswith("https://")], links
"""
IMPORTS_NO_EXTRA = """
import sys
import dashscope
libraries = set("anyio attrs cattrs httpcore httpx httpx_sse".split())
assert not libraries & set(sys.modules), "importing dashscope is lazy"
dashscope.AsyncClient()
on_first_use = {"cattrs", *(f"dashscope.{name}" for name in
    "_batch.batch _sync local resources.models".split())}
assert not on_first_use & set(sys.modules), on_first_use & set(sys.modules)
dashscope.Client()
extras = set("aiohttp click cloudpickle fastapi h2 httpx2 jinja2 opentelemetry PIL psycopg pyarrow "
             "pydantic pytest rich starlette".split())
assert not extras & set(sys.modules), extras & set(sys.modules)
print(dashscope.__version__, "imports no extra")
"""
