"""A rule on classes as it is written: ``[[classes]]``."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from common.classify.classes import BY_NAME
from common.policies.reply_rule import Codes
from common.policies.rules import Name, Texts, listed
from common.section import Section

#: A rule of this class switches the shipped one of its name off.
NONE = "none"


def _enhanced(text: str) -> str:
    if not re.fullmatch(r"[45x]\.(\d{1,3}|\*)\.(\d{1,3}|\*)", text):
        raise ValueError(f"{text!r} is no enhanced status code; write such as 5.1.1, x.1.1 for 4.1.1 too, or x.7.*")
    return text


def _class(name: str) -> str:
    if name != NONE and name not in BY_NAME:
        raise ValueError(f"{name!r} is no class; there are {', '.join(BY_NAME)}; {NONE} switches a shipped rule off")
    return name


def _expression(text: str) -> str:
    from common.classify.expressions import check  # loads RE2, which only who has rules needs

    return check(text)


Enhanced = Annotated[tuple[Annotated[str, AfterValidator(_enhanced)], ...], BeforeValidator(listed)]
Expressions = Annotated[tuple[Annotated[str, AfterValidator(_expression)], ...], BeforeValidator(listed)]


class ClassRule(Section):
    """What kind of refusal it is when servers reply so. One of the name of a shipped rule replaces that."""

    name: Name
    class_: Annotated[str, AfterValidator(_class)] = Field(
        alias="class", description="[bounce-classes.md](bounce-classes.md); none switches a shipped rule off"
    )
    type: Literal["hard", "soft"] | None = Field(None, description="where it is not the class's own")
    provider: str = Field("", description='"" is any')
    phase: Texts = Field((), description="rcpt; a list for several: banner, ehlo, mail, data, dot …")
    code: Codes = Field((), description="550, or 5xx; a list for several")
    enhanced: Enhanced = Field((), description="5.1.1, x.1.1 for 4.1.1 too, x.7.*; a list for several")
    text: Expressions = Field((), description="regular expressions (RE2), one of them in the text, in any case")
    not_text: Expressions = Field((), description="and none of these")
    samples: Texts = Field((), description="replies it is for, two or more; for postjet check")
    not_samples: Texts = Field((), description="and some it is not for")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.class_ != NONE and not (self.phase or self.code or self.enhanced or self.text):
            raise ValueError("text: without phase, code, enhanced and text it would match every reply; add one of them")
        return self
