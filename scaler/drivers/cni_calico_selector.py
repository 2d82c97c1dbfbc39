"""Calico's selector language: which nodes, by their labels, a BGPPeer is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from scaler.errors import PreflightError

Labels = Mapping[str, str]
Predicate = Callable[[Labels], bool]

_TOKEN = re.compile(r"\s*(?:(?P<word>[A-Za-z0-9_./-]+)|(?P<text>\"[^\"]*\"|'[^']*')|(?P<sign>&&|\|\||==|!=|[!(){},]))")


class SelectorError(PreflightError):
    """A selector that cannot be read."""


def compiled(text: str) -> Predicate:
    """Return what decides whether labels are selected; an empty selector selects all."""
    parser = _Parser(text)
    if not text.strip():
        return lambda _: True
    found = parser.either()
    parser.must_end()
    return found


def matches(text: str, labels: Labels) -> bool:
    """Tell whether ``labels`` are selected by ``text``."""
    return compiled(text)(labels)


def labels_for(text: str) -> dict[str, str] | None:
    """Return labels that make a node one of those selected, None where ``text`` is too much to say so."""
    wanted: dict[str, str] = {}
    for part in text.split("&&"):
        has = re.fullmatch(r"\s*has\(\s*([A-Za-z0-9_./-]+)\s*\)\s*", part)
        equals = re.fullmatch(r"\s*([A-Za-z0-9_./-]+)\s*==\s*(?:\"([^\"]*)\"|'([^']*)')\s*", part)
        if has:
            wanted.setdefault(has[1], "true")
        elif equals:
            wanted[equals[1]] = equals[2] if equals[2] is not None else equals[3]
        else:
            return None
    return wanted if matches(text, wanted) else None


class _Parser:
    """One selector, word by word: a || b binds loosest, then &&, then !."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: list[str] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise SelectorError(f"selector {text!r} cannot be read from {text[at:].strip()!r} on")
            self._words.append(found.group().strip())
            at = found.end()

    def either(self) -> Predicate:
        parts = [self._both()]
        while self._next("||"):
            parts.append(self._both())
        return lambda labels: any(part(labels) for part in parts)

    def _both(self) -> Predicate:
        parts = [self._one()]
        while self._next("&&"):
            parts.append(self._one())
        return lambda labels: all(part(labels) for part in parts)

    def _one(self) -> Predicate:
        if self._next("!"):
            inner = self._one()
            return lambda labels: not inner(labels)
        if self._next("("):
            found = self.either()
            self._must(")")
            return found
        word = self._take()
        if self._next("("):
            key = "" if word in {"all", "global"} else self._take()
            self._must(")")
            if word in {"all", "global"}:
                return lambda _: True
            if word == "has":
                return lambda labels: key in labels
            raise SelectorError(f"selector {self._text!r}: there is no {word}()")
        return self._compared(word)

    def _compared(self, key: str) -> Predicate:  # noqa: PLR0911 - one case an operator
        sign = self._take()
        if sign == "not":
            self._must("in")
            excluded = self._values()
            return lambda labels: labels.get(key) not in excluded
        if sign == "in":
            values = self._values()
            return lambda labels: labels.get(key) in values
        if sign in {"starts", "ends"}:
            self._must("with")
        value = self._literal()
        match sign:
            case "==":
                return lambda labels: labels.get(key) == value
            case "!=":
                return lambda labels: labels.get(key) != value
            case "contains":
                return lambda labels: value in labels.get(key, "")
            case "starts":
                return lambda labels: labels.get(key, "").startswith(value)
            case "ends":
                return lambda labels: labels.get(key, "").endswith(value)
        raise SelectorError(f"selector {self._text!r}: there is no {sign!r}")

    def _values(self) -> set[str]:
        self._must("{")
        found = {self._literal()}
        while self._next(","):
            found.add(self._literal())
        self._must("}")
        return found

    def _literal(self) -> str:
        word = self._take()
        if word[:1] not in {"'", '"'}:
            raise SelectorError(f"selector {self._text!r}: {word!r} is not in quotation marks")
        return word[1:-1]

    def _take(self) -> str:
        if not self._words:
            raise SelectorError(f"selector {self._text!r} ends too early")
        return self._words.pop(0)

    def _next(self, word: str) -> bool:
        if self._words[:1] == [word]:
            self._words.pop(0)
            return True
        return False

    def _must(self, word: str) -> None:
        if not self._next(word):
            raise SelectorError(f"selector {self._text!r}: {word!r} is missing")

    def must_end(self) -> None:
        if self._words:
            raise SelectorError(f"selector {self._text!r} goes on with {self._words[0]!r}")
