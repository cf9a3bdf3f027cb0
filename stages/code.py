"""Digests of the code behind each row, so that a comment retrains nothing and an edited loss only its own systems.

`python -m stages.code` writes code/<phase>/<row> for every row of params.yaml, a line of hex that changes exactly when
the row's code means something else. What a row reaches is followed by name, definition by definition, from the runner
and the row's own function through imports inside `stages`; comments, docstrings and type-checking imports do not
count. Of a table annotated `Choices` only the entries count that the row names. Files that lie in a reached package
beside its modules (templates, texts) count by their bytes. Dynamic imports would hide code: the linter forbids them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stages.core import params
from stages.core.files import replacing

SECTIONS = {"crawl": "rounds", "preprocess": "corpora", "train": "systems", "evaluate": "systems"}
"""Which table of params.yaml holds the rows of each phase."""

Place = tuple[str, str]
"""A definition: (module, name); the name "*" stands for the whole module."""


def family(phase: str, row: dict[str, Any]) -> str:
    """The package whose table holds the row's function: crawls and data sets are all made in `corpora`."""
    return "corpora" if phase in ("crawl", "preprocess") else row.get("family", "")


def main() -> None:
    """Write every digest anew, the folder replaced as a whole."""
    values = params.load()
    root = Path.cwd()
    with replacing(Path("code")) as out:
        out.mkdir()
        (out / "none").write_text("no input\n")
        for phase, section in SECTIONS.items():
            (out / phase).mkdir()
            for key, row in (values.get(section) or {}).items():
                starts = [("stages.run", "main"), (f"stages.{family(phase, row)}", phase.upper())]
                (out / phase / key).write_text(digest(root, starts, {phase, *words(row)}) + "\n")
        (out / "report").write_text(digest(root, [("stages.report.__main__", "*")], set()) + "\n")


def words(value: Any) -> Iterator[str]:
    """All texts in a row of params.yaml, keys left out: the names by which it can choose from tables."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)


def digest(root: Path, starts: list[Place], chosen: set[str]) -> str:
    """md5 over all that is reached from `starts` where tables give only the entries in `chosen`."""
    reached: dict[Place, str] = {}
    packages: set[Path] = set()
    todo = list(starts)
    while todo:
        place = todo.pop()
        module = read(root, place[0])
        if place in reached or module is None:
            continue
        packages.add(module.path.parent)
        nodes = module.nodes(place[1], chosen)
        texts, uses = zip(*(meaning(module, node) for node in nodes), strict=True) if nodes else ((), ())
        reached[place] = "\n".join(texts)
        for used in uses:
            todo.extend(used)
        if place[1] != "*":
            todo.append((place[0], ""))
    parts = [f"{module}.{name}\n{text}" for (module, name), text in sorted(reached.items()) if text]
    parts += [f"{file.relative_to(root)}\n{_md5(file)}" for folder in sorted(packages) for file in _data(folder)]
    return hashlib.md5("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Module:
    """A parsed module: its definitions by name, its imports by the name they bind, and what runs at its import."""

    root: Path
    name: str
    path: Path
    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Place]
    effects: list[ast.stmt]

    def nodes(self, name: str, chosen: set[str]) -> list[ast.AST]:
        """The syntax of one definition, of everything ("*"), or of what runs at import ("")."""
        if name == "*":
            every = [node for nodes in self.definitions.values() for node in nodes]
            return [*dict.fromkeys(every), *self.effects]
        if name == "":
            return list(self.effects)
        return [_chosen(node, chosen) for node in self.definitions.get(name, [])]

    def uses(self, node: ast.AST) -> Iterator[Place]:
        """The places that `node` names: definitions beside it, and definitions or modules it imports."""
        bound = self.imports | dict(_imports(node, self))
        dotted = (n for n in ast.walk(node) if isinstance(n, ast.Attribute))
        attributes = {id(n.value): n.attr for n in dotted if isinstance(n.value, ast.Name)}
        for name in (n for n in ast.walk(node) if isinstance(n, ast.Name)):
            if name.id in bound:
                module, attribute = bound[name.id]
                if attribute == "*" and id(name) in attributes:
                    attribute = attributes[id(name)]
                yield from follow(self.root, module, attribute)
            elif name.id in self.definitions:
                yield self.name, name.id
        for module, attribute in dict(_imports(node, self)).values():
            if attribute != "*":
                yield from follow(self.root, module, attribute)


@cache
def meaning(module: Module, node: ast.AST) -> tuple[str, tuple[Place, ...]]:
    """What a node of `module` says and which places it names, worked out once for all rows that reach it."""
    return ast.dump(node), tuple(module.uses(node))


def follow(root: Path, module: str, name: str) -> Iterator[Place]:
    """Where `name` of `module` is really defined, through packages that only pass it on."""
    there = read(root, module)
    if there is None:
        return
    if name != "*" and name not in there.definitions:
        if name in there.imports:
            yield from follow(root, *there.imports[name])
        elif read(root, f"{module}.{name}"):
            yield f"{module}.{name}", "*"
        return
    yield module, name


@cache
def read(root: Path, name: str) -> Module | None:
    """The module of that dotted name under `root`, or None for what is not ours."""
    if not name.startswith("stages"):
        return None
    base = root.joinpath(*name.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    if not path.is_file():
        return None
    module = Module(root, name, path, {}, {}, [])
    for node in _bare(ast.parse(path.read_text(encoding="utf-8"))).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module.imports.update(_imports(node, module))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.definitions.setdefault(node.name, []).append(node)
        elif targets := _targets(node):
            for target in targets:
                module.definitions.setdefault(target, []).append(node)
        elif not _type_checking(node):
            module.effects.append(node)
    return module


def _imports(node: ast.AST, module: Module) -> Iterator[tuple[str, Place]]:
    """The names that import statements in `node` bind, and to what; ("stages.x", "*") for a whole module."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            for alias in inner.names:
                yield (alias.asname or alias.name), (alias.name, "*")
        elif isinstance(inner, ast.ImportFrom) and inner.module and not inner.level:
            for alias in inner.names:
                whole = f"{inner.module}.{alias.name}"
                is_module = read(module.root, whole) is not None
                yield (alias.asname or alias.name), ((whole, "*") if is_module else (inner.module, alias.name))


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings and other statements that are only a text."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
            if not node.body and not isinstance(node, ast.Module):
                node.body = [ast.Pass()]
    return tree


def _targets(node: ast.stmt) -> list[str]:
    """The plain names that an assignment binds; [] where it is none, or binds something else too."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    names = [n for target in targets for n in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [n.id for n in names] if all(isinstance(n, ast.Name) for n in names) else []


def _chosen(node: ast.AST, chosen: set[str]) -> ast.AST:
    """A table of `Choices` with only the chosen entries; any other node as it is."""
    if not (
        isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and "Choices" in ast.dump(node.annotation)
    ):
        return node
    pairs = zip(node.value.keys, node.value.values, strict=True)
    kept = [(k, v) for k, v in pairs if not isinstance(k, ast.Constant) or k.value in chosen]
    table = ast.Dict(keys=[k for k, _ in kept], values=[v for _, v in kept])
    return ast.AnnAssign(target=node.target, annotation=node.annotation, value=table, simple=node.simple)


def _type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _data(package: Path) -> Iterator[Path]:
    """Files of a package that are not modules, folders that are packages of their own left out."""
    for path in sorted(package.iterdir()):
        if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").exists():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and file.suffix != ".pyc")
        elif path.is_file() and path.suffix != ".py":
            yield path


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
