"""Section `baselines` of `params.yaml`: the conventional recommenders and their training."""

from typing import Annotated, Any, Literal

from pydantic import Field

from benchmark.config.values import Name, PositiveFloat, PositiveInt, Section


class TrainingParams(Section):
    """The one training loop of the conventional baselines."""

    learning_rate: PositiveFloat
    weight_decay: Annotated[float, Field(ge=0)]
    """Coupled L2 decay of Adam, not AdamW's."""
    weight_decay_grid: tuple[Annotated[float, Field(ge=0)], ...]
    """Decays to choose from by validation AUC, for the rows named `-searched`; empty: no such rows."""
    batch_size: PositiveInt
    n_updates: PositiveInt
    eval_every: PositiveInt
    """Updates between two validations."""
    history_length: PositiveInt
    """Shorter histories repeat their last interaction up to this length."""
    item_size: PositiveInt
    """Width of an item embedding; the like flag makes a step one wider."""
    n_threads: PositiveInt
    """Groups of draws trained at once, each on one thread. No result depends on it."""


class TextEncoderParams(Section):
    """The frozen encoder of item texts, for the models that read text."""

    model: str | None
    """A Hub id, a local folder, or `package:NAME/FOLDER` for weights that an installed package carries; null: none."""
    revision: str | None
    """Commit of a Hub model."""
    max_length: PositiveInt
    """Tokens of a text."""
    batch_size: PositiveInt
    n_threads: PositiveInt


class BaselineParams(Section):
    """Training, and a section a model; its keys are the keywords of `baselines/<model>.py: model`."""

    heads: tuple[Literal["per_item", "tied", "shared"], ...] = Field(min_length=1)
    """How a target is scored; `per_item` is the released way, the others make rows of their own."""
    last_update: bool
    """Whether each head has a further row `-last`, tested after the last update: no validation row chooses anything."""
    training: TrainingParams
    n_updates: dict[Name, dict[Name, PositiveInt]]
    """Model -> domain -> updates, where they are not those of `training`."""
    text_encoder: TextEncoderParams
    models: dict[Name, dict[str, Any]]
