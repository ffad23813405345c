"""Rules of the house that no linter knows, each with a sabotage check that shows it can fail."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("arena", "agents", "lineage", "tui")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 45

LONG_FILES: dict[str, str] = {}
"""{path: why it is one piece}; keep it short."""

LONG_FUNCTIONS: dict[str, str] = {}
"""{path:name: why it is one piece}; keep it short."""

Rule = Callable[[str, ast.Module], Iterator[str]]


def long_files(source: str, tree: ast.Module) -> Iterator[str]:
    """A file is read in one sitting."""
    lines = source.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{lines} lines, at most {MAX_FILE_LINES}"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def long_functions(source: str, tree: ast.Module) -> Iterator[str]:
    """A function fits a screen; the docstring does not count."""
    for node in functions(tree):
        first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        lines = (node.end_lineno or 0) - first.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"{node.name}: {lines} lines, at most {MAX_FUNCTION_LINES}"


def dangerous_calls(source: str, tree: ast.Module) -> Iterator[str]:
    """No code is ever loaded from data: no pickle in any disguise, no eval."""
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"imports {alias.name}" for alias in node.names if alias.name.split(".")[0] in modules)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in modules:
            yield f"imports {node.module}"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in {"eval", "exec", "compile", "torch.load", "torch.save", "np.load", "numpy.load", "__import__"}:
                yield f"calls {name}"
            if any(keyword.arg == "allow_pickle" for keyword in node.keywords):
                yield "uses allow_pickle"


def built_sql(source: str, tree: ast.Module) -> Iterator[str]:
    """SQL is constant text: nothing is formatted into a statement."""
    methods = {"execute", "executemany", "executescript", "query", "execute_returning_dicts"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods:
            statement: ast.AST = node.args[0] if node.args else node
            formatted = isinstance(statement, ast.Call) and ast.unparse(statement.func).endswith(".format")
            if isinstance(statement, ast.JoinedStr | ast.BinOp) or formatted:
                yield f"line {node.lineno}: a statement is put together: {ast.unparse(statement)[:60]}"


_TORCH_GLOBAL = {"rand", "randn", "randint", "randperm", "manual_seed", "normal", "seed"}


def global_randomness(source: str, tree: ast.Module) -> Iterator[str]:
    """Randomness is a function of (seed, purpose, keys): arena.rng, nothing else."""
    allowed = {"np.random.Generator", "np.random.Philox"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name in {"random", "secrets"} for alias in node.names):
            yield f"line {node.lineno}: imports a global generator"
        elif isinstance(node, ast.ImportFrom) and node.module in {"random", "secrets", "numpy.random"}:
            yield f"line {node.lineno}: imports from {node.module}"
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if name.startswith(("np.random.", "numpy.random.")) and name.count(".") == 2 and name not in allowed:
                yield f"line {node.lineno}: uses {name}"
            if name.startswith("torch.") and name[6:] in _TORCH_GLOBAL:
                yield f"line {node.lineno}: uses {name}"


def undocumented(source: str, tree: ast.Module) -> Iterator[str]:
    """Every module, public class and public function says what it is."""
    if not ast.get_docstring(tree):
        yield "the module has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            private = node.name.startswith("_")
            if not private and not ast.get_docstring(node) and not _nested(tree, node):
                yield f"{node.name} has no docstring"


def _nested(tree: ast.Module, wanted: ast.AST) -> bool:
    """Return whether a definition is local to a function, and so nobody else's business."""
    return any(wanted in ast.walk(node) and wanted is not node for node in functions(tree))


def leftovers(source: str, tree: ast.Module) -> Iterator[str]:
    """Nothing is left for later."""
    words = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error", "breakpoint" + "(")
    for number, line in enumerate(source.splitlines(), 1):
        yield from (f"line {number}: {word}" for word in words if word in line)


RULES: dict[str, tuple[Rule, str]] = {
    "long files": (long_files, "x = 1\n" * (MAX_FILE_LINES + 1)),
    "long functions": (long_functions, "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES + 1)),
    "dangerous calls": (dangerous_calls, "import torch\ntorch.load('x')\n"),
    "built SQL": (built_sql, "db.execute(f'DROP TABLE {name}')\n"),
    "global randomness": (global_randomness, "import numpy as np\nnp.random.seed(1)\n"),
    "undocumented": (undocumented, '"""M."""\ndef f():\n    return 1\n'),
    "leftovers": (leftovers, "x = 1  # TO" + "DO later\n"),
}

EXCEPTIONS: dict[str, dict[str, str]] = {"long files": LONG_FILES, "long functions": LONG_FUNCTIONS}


@pytest.mark.parametrize("name", RULES)
def test_the_house_keeps_its_rules(name: str) -> None:
    """No source file breaks the rule, but for the listed exceptions."""
    rule, _ = RULES[name]
    broken = []
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        place = path.relative_to(ROOT).as_posix()
        for found in rule(source, ast.parse(source)):
            excused = EXCEPTIONS.get(name, {})
            if place not in excused and f"{place}:{found.partition(':')[0]}" not in excused:
                broken.append(f"{place}: {found}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("name", RULES)
def test_each_rule_can_fail(name: str) -> None:
    """Sabotage: a snippet that breaks the rule is found."""
    rule, snippet = RULES[name]
    assert list(rule(snippet, ast.parse(snippet)))


@pytest.mark.parametrize(
    "snippet",
    [
        "from pickle import loads", "import cloudpickle", "eval('1')", "np.load(f, allow_pickle=True)",
        "c.execute('SELECT ' + x)", "c.executemany('%s' % x, y)", "c.execute('{}'.format(x))",
        "import random", "from numpy.random import rand", "x = np.random.default_rng(1)", "torch.randn(3)",
    ],
)  # fmt: skip
def test_disguises_are_seen(snippet: str) -> None:
    """Other spellings of the forbidden are found by one rule or another."""
    tree = ast.parse(snippet)
    assert any(list(rule(snippet, tree)) for rule in (dangerous_calls, built_sql, global_randomness))


def test_exceptions_are_still_needed() -> None:
    """An exception whose file or function has become short is taken off the list."""
    for place in LONG_FILES:
        assert (ROOT / place).read_text(encoding="utf-8").count("\n") > MAX_FILE_LINES, place
    for place in LONG_FUNCTIONS:
        path, _, name = place.partition(":")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert any(found.startswith(f"{name}:") for found in long_functions(source, ast.parse(source))), place


def test_no_path_or_host_of_a_workshop_is_in_the_tree() -> None:
    """Files name no machine on which they were written."""
    words = ["/".join(("", *parts, "")) for parts in (["work", "main"], ["tmp", "v"], ["root"], ["home"])]
    files = [path for path in ROOT.glob("*.*") if path.is_file()]
    for path in [*SOURCES, *files, *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in words if word in text], path
