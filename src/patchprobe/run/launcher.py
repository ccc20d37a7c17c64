"""``snakemake`` of this environment: Snakemake itself, with bare targets told apart from option values.

Snakemake's options for assignments, such as ``--resources gpu=1``, and ``--configfile`` take every word that follows.
In ``snakemake --resources gpu=1 all`` they take the target ``all`` too, and Snakemake ends with a traceback. This
launcher moves the words that are no assignment (no file name) behind such an option to the end of the line, after
``--``, which Snakemake reads as it was meant. Every other line is handed over unchanged.

Configurations are read by :mod:`patchprobe.config.reading`, so that one that is no YAML is named with its line.

Where Snakemake would print a traceback for a disk that is full, read-only or forbidden, or wrap one of our messages into
its own, the message is printed alone, in one line.

Snakemake runs the Python expressions of a configuration or profile that says ``__use_yte__: true``, in a dry run too. Whoever
tries a configuration of somebody else does not expect that, so this launcher refuses such a file.

Where the plugin of the executor is not installed that a profile names, a line says how to come by it. Where there is no workflow
profile of the name that is given, Snakemake would go on without one, on this machine: this launcher refuses that.

``python -m snakemake`` is the original.
"""

import argparse
import functools
import gc
import io
import itertools
import logging
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from patchprobe.errors import ConfigError, PatchprobeError
from patchprobe.files import REMEDIES, explain

_FILES = ("--configfile", "--configfiles")
# Executors whose plugin a verb of the Makefile installs, into an environment of the same name.
_VERBS = ("slurm", "cluster-generic")


def main() -> int:
    """Run Snakemake on the command line given to this process and return its exit code."""
    # Modules stay: looking among what they make for objects to free is a fifth of the time that it takes to import them.
    gc.set_threshold(50_000)
    try:
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        # Snakemake attends to it only while jobs run.
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT


def _run(words: Sequence[str]) -> int:
    import yte
    from snakemake import api, cli

    # A log that cannot be written is no reason for a traceback per line.
    logging.raiseExceptions = False
    for module in (api, cli):
        _print_in_one_line(module)
    # Snakemake looks it up by this name whenever it reads such a file.
    yte.process_yaml = without_code(yte.process_yaml)
    cli.get_argument_parser = _made_once(_telling_of_plugins(cli.get_argument_parser))
    if message := missing_profile(words):
        print(f"error: {message}", file=sys.stderr)
        return 2
    if _may_need_separation(words):
        words = separate_targets(words, assignment_options(cli.get_argument_parser()))
    return int(cli.main(words) or 0)


def one_line(error: BaseException) -> str | None:
    """Return the message of an error that the user can do something about, or None for any other.

    Those are ours, and those of the operating system, also where Snakemake has wrapped them in errors of its own.
    """
    if isinstance(error, OSError):
        return explain(error)
    inner: BaseException | None = error
    while inner is not None:
        # By name, since the checkout that runs may have its own copy of the library.
        if any(kind.__name__ == PatchprobeError.__name__ for kind in type(inner).__mro__):
            return str(inner)
        if isinstance(inner, OSError) and inner.errno in REMEDIES:
            return explain(inner)
        if type(inner).__name__ == "ProtectedOutputException":
            files = " ".join(str(inner).rpartition("affected files:")[2].split())
            return (
                f"{files} cannot be written over; permit writing, or mount the file system for writing, and run again"
            )
        inner = inner.__cause__ or inner.__context__
    return None


def without_code(process: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``yte.process_yaml`` as ``process`` is, but raising WorkflowError for a document whose code it would run."""

    @functools.wraps(process)
    def guarded(source: Any, *arguments: Any, **options: Any) -> Any:
        from snakemake.exceptions import WorkflowError

        from patchprobe.config.reading import read_text

        name = str(getattr(source, "name", "a configuration"))
        try:
            text = source if isinstance(source, str) else source.read()
            content = read_text(text, name)
        except UnicodeDecodeError as error:
            raise WorkflowError(f"{name} cannot be read ({error}): restore it as text in UTF-8") from None
        except ConfigError as error:
            raise WorkflowError(str(error)) from None
        if isinstance(content, dict) and content.get("__use_yte__"):
            raise WorkflowError(
                f"{getattr(source, 'name', 'a configuration')} says __use_yte__: true, so that Snakemake would run the Python "
                "code in it: remove the key or, if the file is yours, run `python -m snakemake` in place of `snakemake`"
            )
        return process(io.StringIO(text), *arguments, **options)

    return guarded


def missing_plugin(message: str) -> str | None:
    """Return what to do where argparse's ``message`` is that no such executor is there, None for any other message."""
    match = re.match(r"argument --executor/-e: invalid choice: '([\w-]+)'", message)
    if match is None:
        return None
    name = match[1]
    remedy = (
        f"run `make {name}`, then `. .venv-{name}/bin/activate`"
        if name in _VERBS
        else "install it here, or correct the name"
    )
    return f"the executor {name} needs snakemake-executor-plugin-{name}, which this environment lacks: {remedy}"


def missing_profile(words: Sequence[str]) -> str | None:
    """Return what to do where ``--workflow-profile`` of a line names none in any place where Snakemake looks; else None."""
    named = _last_value(words, "--workflow-profile")
    snakefile = Path(_last_value(words, "--snakefile", "-s") or "Snakefile")
    folders = (Path(), Path("profiles"), snakefile.parent / "profiles", Path("workflow/profiles"))
    if named in (None, "none") or any((folder / str(named)).exists() for folder in folders):
        return None
    there = sorted(str(path.parent) for path in Path("profiles").glob("*/profile.yaml"))
    return f"--workflow-profile: there is no {named}; correct it" + (f": here are {', '.join(there)}" if there else "")


def assignment_options(parser: argparse.ArgumentParser) -> set[str]:
    """Return the names of all options of ``parser`` that take any number of NAME=VALUE words."""
    # argparse has no public list of a parser's actions.
    return {
        name
        for action in parser._actions
        if action.nargs in ("+", "*") and "=" in str(action.metavar or "")
        for name in action.option_strings
    }


def separate_targets(words: Sequence[str], options: Iterable[str]) -> list[str]:
    """Move bare words that an option would swallow behind a final ``--``; return the new line.

    ``options`` are those that take NAME=VALUE words; a configuration file is known by its suffix. The first word
    behind an option always belongs to it.
    """
    options, kept, targets = set(options), list[str](), list[str]()
    belongs, taken = None, 0
    for position, word in enumerate(words):
        if word == "--":
            targets += words[position + 1 :]
            break
        if word.startswith("-"):
            name, _, value = word.partition("=")
            # --resources=gpu=1 takes exactly one word, so argparse leaves the next one alone.
            belongs = None if value else _is_assignment if name in options else _is_file if name in _FILES else None
            taken = 0
            kept.append(word)
        elif belongs and taken and not belongs(word):
            targets.append(word)
        else:
            taken += 1
            kept.append(word)
    return [*kept, "--", *targets] if targets else list(words)


def _print_in_one_line(module: ModuleType) -> None:
    """Let a module of Snakemake print what :func:`one_line` knows, and everything else as it always does."""
    original = getattr(module, "print_exception", None)
    if original is None:
        return

    def print_exception(error: BaseException, *arguments: Any, **named: Any) -> None:
        message = one_line(error)
        if message is None:
            original(error, *arguments, **named)
        else:
            print(f"error: {message}", file=sys.stderr, flush=True)

    module.print_exception = print_exception  # type: ignore[attr-defined]


def _telling_of_plugins(make: Callable[..., argparse.ArgumentParser]) -> Callable[..., argparse.ArgumentParser]:
    """Let the parsers that ``make`` returns end with what :func:`missing_plugin` says, where it has something to say."""

    def made(*arguments: Any, **options: Any) -> argparse.ArgumentParser:
        parser = make(*arguments, **options)
        original = parser.error

        def error(message: str) -> NoReturn:
            if remedy := missing_plugin(message):
                parser.exit(2, f"error: {remedy}\n")
            original(message)

        parser.error = error  # type: ignore[method-assign]
        return parser

    return made


def _made_once(make: Callable[..., argparse.ArgumentParser]) -> Callable[..., argparse.ArgumentParser]:
    """Return ``make`` with one parser for all who ask for none of a profile: this module, and then Snakemake."""
    plain = functools.cache(make)
    return lambda profiles=None: make(profiles=profiles) if profiles else plain()


def _last_value(words: Sequence[str], *options: str) -> str | None:
    """Return the word that belongs to an option of one word, given as ``--name word`` or ``--name=word``; None without it."""
    found = None
    for word, following in itertools.zip_longest(words, words[1:]):
        name, joined, value = word.partition("=")
        if name in options:
            found = value if joined else following
    return found


def _is_assignment(word: str) -> bool:
    return "=" in word


def _is_file(word: str) -> bool:
    return word.endswith((".yaml", ".yml", ".json"))


def _may_need_separation(words: Sequence[str]) -> bool:
    return any(
        (_is_assignment(first) or _is_file(first)) and not second.startswith("-")
        for first, second in itertools.pairwise(words)
    )
