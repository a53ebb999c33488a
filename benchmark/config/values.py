"""What the sections of `params.yaml` are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]
"""Names folders, so that it is no path and not longer than a file system takes."""


class Section(BaseModel):
    """A section of `params.yaml`: frozen, unknown keys refused, no conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Problem = tuple[str, str]
"""Dotted key, what is wrong with its value."""
