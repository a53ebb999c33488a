"""How long and how fast a model is trained."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train."""

    n_updates: int
    batch_size: int
    """Rows an update."""
    micro_batch_size: int
    learning_rate: float
    warmup_updates: int
    seed: int
    adam_beta2: float = 0.999
    """Decay of Adam's second moment."""
    eval_every: int | None = None
    """Updates between validations; None: no validation, the last weights are kept."""
    patience: int = 0
    """Validations without a better AUC before training stops."""
    keep_best: bool = False
    """Restore the weights with the best validation AUC at the end."""
    gradient_checkpointing: bool = False
