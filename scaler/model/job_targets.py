"""Who is told how a job ended: a webhook in one of several formats, or mail; secrets are named, never held."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from scaler.model.base import Value
from scaler.model.paths import UnitPath

When = Literal["failure", "change", "always"]
_CREDENTIAL = re.compile(r"[A-Za-z0-9][-._A-Za-z0-9]{0,63}")
_MAIL = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+|[A-Za-z_][-A-Za-z0-9_.]*")


def _named_not_held(told: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    if isinstance(told, dict | Secret):
        return told
    # Not the value itself: it may be the secret.
    raise ValueError("a secret does not stand in this file: say {file: PATH} or {credential: NAME}")


def _address(text: str) -> str:
    if not _MAIL.fullmatch(text):
        raise ValueError("is not a mail address")
    return text


class Secret(Value):
    """Where a secret is: a file, or a credential that systemd hands to the unit, out of ``file`` where it is said."""

    file: UnitPath | None = None
    credential: str | None = None

    @model_validator(mode="after")
    def _it_is_somewhere(self) -> Secret:
        if self.file is None and self.credential is None:
            raise ValueError("say file: PATH, or credential: NAME")
        if self.credential is not None and not _CREDENTIAL.fullmatch(self.credential):
            raise ValueError("credential: is not a credential's name (letters, digits, '.', '-' and '_')")
        return self

    @property
    def told(self) -> str:
        """Tell a person where it is."""
        return f"credential {self.credential}" if self.credential else str(self.file)


Named = Annotated[Secret, BeforeValidator(_named_not_held)]
Mails = Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], Field(min_length=1)]


class Webhook(Value):
    """An address that is posted to; it is a secret itself, as who knows it may post. ``secret`` signs."""

    webhook: Literal["generic", "slack", "dingtalk", "wecom", "feishu"]
    url: Named
    secret: Named | None = None
    when: tuple[When, ...] = ("failure",)

    @model_validator(mode="after")
    def _who_signs(self) -> Webhook:
        if self.secret and self.webhook in {"slack", "wecom"}:
            raise ValueError(f"{self.webhook} has no signatures; its address is its only secret")
        return self

    @property
    def told(self) -> str:
        """Tell a person who it is."""
        return f"webhook {self.webhook} ({self.url.told})"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Return what it needs to know."""
        return tuple(filter(None, (self.url, self.secret)))


class Mail(Value):
    """Mail by this machine's own sendmail."""

    mail: Mails
    sender: Annotated[str, AfterValidator(_address)] | None = None
    sendmail: UnitPath = Path("/usr/sbin/sendmail")
    when: tuple[When, ...] = ("failure",)

    @property
    def told(self) -> str:
        """Tell a person who it is."""
        return f"mail to {', '.join(self.mail)}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Return what it needs to know."""
        return ()


def _kind(told: Any) -> str | None:  # noqa: ANN401 - whatever YAML holds
    keys = told if isinstance(told, dict) else vars(told) if isinstance(told, Value) else {}
    return next((f"({kind})" for kind in ("webhook", "mail") if kind in keys), None)


Target = Annotated[
    Annotated[Webhook, Tag("(webhook)")] | Annotated[Mail, Tag("(mail)")],
    Discriminator(_kind, custom_error_type="no_target", custom_error_message="say webhook: FORMAT, or mail: [ADDRESS]"),
]
