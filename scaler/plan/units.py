"""What a systemd unit starts: its drop-ins and environment applied as systemd does, each word with its place."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from scaler.model.components import Place, Setting, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_BRACED = re.compile(r"\$\{(\w+)\}")
_SHELLS = {"sh", "bash", "dash"}


class Word(NamedTuple):
    """A word of a command line, and where it stands."""

    text: str
    place: Place


class Started(NamedTuple):
    """A unit's command line, its environment, and where its command begins."""

    words: tuple[Word, ...]
    environment: dict[str, Word]


def started(unit: Sequence[Text], environment_files: Mapping[str, str]) -> Started:
    """Return what ``unit`` (its fragment first, then its drop-ins) starts; ``environment_files`` are texts by path."""
    command: list[Word] = []
    variables: dict[str, Word] = {}
    named: list[str] = []
    for key, words in _service_lines(unit):
        text = " ".join(word.text for word in words)
        if key == "ExecStart":
            # An empty one takes back what was said before.
            command = words if text else []
        elif key == "Environment":
            variables = {**variables, **_assigned(words)} if text else {}
        elif key == "EnvironmentFile":
            named = [*named, text.lstrip("-")] if text else []
    for path in named:
        variables |= _assigned(_environment_words(Text(path=path, text=environment_files.get(path, ""))))
    return Started(tuple(_whole(command, variables)), variables)


def flags(words: Iterable[Word], *, single_dash: bool = False) -> tuple[Setting, ...]:
    """Return the flags of a command line; one without ``=`` is true, or has the next word.

    Underscores are dashes to Kubernetes' components. With ``single_dash`` (etcd) one dash is as good as two.
    """
    found = []
    rest = list(words)
    while rest:
        text, place = rest.pop(0)
        if not (text.startswith("--") or (single_dash and re.match(r"-[a-z]", text))):
            continue
        name, equals, value = text.lstrip("-").partition("=")
        if not equals:
            value = rest.pop(0).text if rest and not rest[0].text.startswith("-") else "true"
        found.append(Setting(name=name.replace("_", "-"), value=value, place=place))
    return tuple(found)


def _service_lines(unit: Sequence[Text]) -> Iterator[tuple[str, list[Word]]]:
    """Yield each setting of [Service] that matters here, its value as words, each with its own line."""
    for file in unit:
        section, key, words = "", "", list[Word]()
        for number, raw in enumerate(file.text.splitlines(), 1):
            line = raw.strip()
            if line.startswith(("#", ";")) or (not line and not key):
                continue
            if not key:
                if line.startswith("["):
                    section = line
                    continue
                key, _, line = (part.strip() for part in line.partition("="))
                words = []
            goes_on = line.endswith("\\")
            words += [Word(each, Place(file=file.path, line=number)) for each in _split(line.removesuffix("\\"))]
            if not goes_on:
                if section == "[Service]" and key in {"ExecStart", "Environment", "EnvironmentFile"}:
                    yield key, words
                key = ""


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        # A quotation that goes on in the next line.
        return line.replace('"', "").replace("'", "").split()


def _environment_words(file: Text) -> Iterator[Word]:
    lines = enumerate(file.text.splitlines(), 1)
    for number, raw in lines:
        line, at = raw.strip(), number
        while line.endswith("\\"):
            line = f"{line.removesuffix(chr(92))} {next(lines, (0, ''))[1].strip()}"
        if "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield Word(
                f"{name.removeprefix('export ').strip()}={' '.join(_split(value))}", Place(file=file.path, line=at)
            )


def _assigned(words: Iterable[Word]) -> dict[str, Word]:
    return {
        name: Word(value, word.place) for word in words for name, equals, value in [word.text.partition("=")] if equals
    }


def _whole(words: Sequence[Word], variables: Mapping[str, Word]) -> Iterator[Word]:
    """Yield the words as the program gets them: variables filled in, the prefixes and a shell around it taken off."""
    first = True
    for word in words:
        text = word.text.lstrip("@-:+!") if first else word.text
        first = False
        alone = re.fullmatch(r"\$(\w+)", text)
        if alone:
            # Such a one becomes as many words as it has, and they stand where the variable is said.
            value = variables.get(alone[1])
            yield from (Word(each, value.place) for each in _split(value.text)) if value else ()
            continue
        filled = _BRACED.fullmatch(text)
        place = variables[filled[1]].place if filled and filled[1] in variables else word.place
        yield Word(_BRACED.sub(lambda found: _said(variables, found[1]), text), place)


def _said(variables: Mapping[str, Word], name: str) -> str:
    return variables[name].text if name in variables else ""


def program(words: Sequence[Word]) -> tuple[str, tuple[Word, ...]]:
    """Return the program's path and its arguments; of a shell's ``-c`` those of what it starts."""
    if not words:
        return "", ()
    path, rest = words[0].text, tuple(words[1:])
    if path.rsplit("/", 1)[-1] in _SHELLS and len(rest) > 1 and rest[0].text == "-c":
        inner = [Word(each, rest[1].place) for each in _split(rest[1].text)]
        return program([word for word in inner if word.text != "exec"])
    return path, rest
