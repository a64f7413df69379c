"""What every part of the configuration is made of: sections that refuse unknown keys, and their types."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from common.units import parse_duration, parse_size

Size = Annotated[int, BeforeValidator(parse_size)]
Duration = Annotated[float, BeforeValidator(parse_duration)]


def written(text: str, description: str | None = None) -> Any:
    """A default as people write it; the reference page shows it so."""
    return Field(text, description=description)


class Section(BaseModel):
    """Part of the configuration: unknown keys are refused, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def _later(self, key: str, allowed: Any) -> None:
        """Refuse a value of ``key`` that a later version brings."""
        if getattr(self, key) != allowed:
            raise ValueError(f"{key}: only {allowed!r} works in this version; remove the line")
