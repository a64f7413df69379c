"""A rule on replies as it is written: ``[[replies]]``."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.policies.rules import Name, Texts, listed
from common.section import Duration, Section, written
from common.units import Rate, parse_duration, parse_rate

#: Actions on the pace towards a scope, for a time.
PACE = ("suspend", "rate", "connections", "messages_per_connection")
#: Actions on the delivery that got the reply, once.
OUTCOME = ("retry", "permanent", "temporary")
#: Every reply is enough.
AT_ONCE = Rate(1, 1)


def _code(value: Any) -> str:
    if not re.fullmatch(r"[45][0-9x][0-9x]", text := str(value)):
        raise ValueError(f"{text!r} is no code of a refusal; write such as 421, or 4xx for all that begin with 4")
    return text


def _enhanced(text: str) -> str:
    if not re.fullmatch(r"[45]\.(\d{1,3}|\*)\.(\d{1,3}|\*)", text):
        raise ValueError(f"{text!r} is no enhanced status code; write such as 4.7.650, or 4.7.* for all of a subject")
    return text


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from None
    return text


def _trigger(value: Any) -> Rate:
    if value == "at once" or isinstance(value, Rate):
        return AT_ONCE if value == "at once" else value
    try:
        return parse_rate(value)
    except ValueError:
        raise ValueError(f"{value!r} is no trigger; write at once, or how many in which time, such as 3/h") from None


Parsed = TypeVar("Parsed")
Codes = Annotated[tuple[Annotated[str, BeforeValidator(_code)], ...], BeforeValidator(listed)]
EnhancedCodes = Annotated[tuple[Annotated[str, AfterValidator(_enhanced)], ...], BeforeValidator(listed)]
Expressions = Annotated[tuple[Annotated[str, AfterValidator(_expression)], ...], BeforeValidator(listed)]


class ReplyRule(Section):
    """What is done when servers reply so. One of the name of a shipped rule replaces that."""

    name: Name
    provider: str = Field("", description='"" is any, asked where no rule for the provider matches')
    code: Codes = Field((), description="421, or 4xx; a list for several")
    enhanced: EnhancedCodes = Field((), description="4.7.650, or 4.7.*; a list for several")
    text: Expressions = Field((), description="regular expressions, one of them somewhere in the text, in any case")
    trigger: Annotated[Rate, BeforeValidator(_trigger)] = written(
        "at once", description="at once, or after how many in which time"
    )
    action: Literal[
        "suspend", "rate", "connections", "messages_per_connection", "retry", "permanent", "temporary", "none"
    ] = Field(description="retry, permanent, temporary: of this one delivery; none switches a shipped rule off")
    value: Any = Field(None, description="of rate: 1/m; of connections, messages_per_connection: 1; of retry: 15m")
    for_: Duration = Field(0, alias="for", description="how long")
    scope: Literal["provider", "site", "source"] | None = Field(
        None,
        description="of what: the provider's sites together, the site, or either from that source address alone;"
        " else provider where the rule has one, site where not",
    )
    samples: Texts = Field((), description="replies it is for; for postjet check")
    not_samples: Texts = Field((), description="and some it is not for")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.action == "none":
            return self
        if not (self.code or self.enhanced or self.text):
            raise ValueError("text: without code, enhanced and text the rule would match every reply; add one of them")
        if self.action in PACE and self.for_ < 1:
            raise ValueError(f"for: how long {self.action} lasts is missing; add such as for = '30m'")
        if self.action in OUTCOME:
            for key in ("for_", "scope", "trigger"):
                if key in self.model_fields_set:
                    name = key.rstrip("_")
                    raise ValueError(f"{name}: {self.action} is of one delivery, at once; remove the line")
        if self.scope == "provider" and not self.provider:
            raise ValueError("scope: a rule without provider has none; write site or source")
        if self.action in ("suspend", "permanent", "temporary") and self.value is not None:
            raise ValueError(f"value: {self.action} has none; remove the line")
        self.amount  # noqa: B018  # says what is wrong with it
        return self

    @property
    def amount(self) -> Rate | int | float | None:
        """``value`` as its action reads it: rate, number or seconds. Raises ValueError."""
        if self.action == "rate":
            return self._parsed(parse_rate)
        if self.action in ("connections", "messages_per_connection"):
            if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 1:
                raise ValueError(f"value: {self.value!r} is no number of {self.action}; write such as value = 1")
            return self.value
        if self.action == "retry":
            return self._parsed(parse_duration)
        return None

    def _parsed(self, parse: Callable[[Any], Parsed]) -> Parsed:
        try:
            return parse(self.value)
        except ValueError as error:
            raise ValueError(f"value: {error}") from None
