"""transformers' Trainer with an AUC validation of our own, checked checkpoints, and an update shared by processes."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate.data_loader import BatchSamplerShard
from peft import PeftModel
from transformers import PreTrainedModel, Trainer, TrainingArguments

from benchmark.errors import TrainingError
from tallrec.disk import writing
from tallrec.models.adapters import adapter_weights
from tallrec.models.sharding import is_sharded
from tallrec.processes import n_processes, place, wait_for_all
from tallrec.training.checkpoints import restore
from tallrec.training.loss import LabelledLoss
from tallrec.training.loss_scale import computes_in_float16, gradients_divided_by, scale_of
from tallrec.training.micro_batches import by_length, share_of_rows
from tallrec.training.rows import IGNORED


class AucTrainer(Trainer):
    """Trainer whose evaluation is a function that returns metrics, e.g. the AUC on the validation rows.

    An update whose loss or gradients are not finite ends the training before it reaches the weights. Its checkpoints
    are checked: that they reach the disk, and that all of their weights reach the model.

    Several processes read the same micro-batches of an update, as one alone would, and each takes its rows of every one
    of them. The loss is divided by the labels of all rows, so that the sum of their gradients is that of one process.
    """

    def __init__(self, *, validate: Callable[[], Mapping[str, float]] | None, **keywords: Any) -> None:
        arguments: TrainingArguments = keywords["args"]
        # Of a model in shards Trainer would save no optimizer. Here it is that of the adapter, which is whole.
        arguments.save_only_model = is_sharded(keywords["model"])
        super().__init__(**keywords)
        arguments.save_only_model = False
        self.validate = validate
        self.labelled_loss = LabelledLoss(
            keywords["model"],
            shares_beginning=n_processes() == 1,
            is_divided_by_model=self.model_accepts_loss_kwargs,
        )
        self.model_accepts_loss_kwargs = True  # those of `labelled_loss`, whatever the model does
        self.scales_loss = computes_in_float16(keywords["model"])
        self.scale = 1.0
        self.loss_of_update: Any = 0.0

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """Trainer's own, with gradients that are scaled within a model in float16."""
        loss = self._scaled_step(model, inputs, num_items_in_batch)
        self.loss_of_update = self.loss_of_update + loss  # looked at once an update: a look waits for the GPU
        return loss

    def _get_grad_norm(self, *arguments: Any, **keywords: Any) -> Any:
        """Trainer's own, which it asks for before each update is made.

        Raises:
            TrainingError: the loss or the gradients of the update are not finite. No update of any kind is left out,
                also not in float16: its factor is fixed (`tallrec.training.loss_scale`), so that the next one would
                be no better.
        """
        norm = super()._get_grad_norm(*arguments, **keywords)
        loss, self.loss_of_update = float(self.loss_of_update), 0.0
        for name, value in (("loss", loss), ("norm of the gradients", norm)):
            if value is not None and not math.isfinite(value):
                rate = self._get_learning_rate()
                raise TrainingError(
                    f"update {self.state.global_step + 1}: the {name} is {value}, at a learning rate of {rate:.3g}; "
                    "a lower one, or bfloat16 in the place of float16, may help"
                )
        return norm

    def _scaled_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> Any:
        if not self.scales_loss:
            return super().training_step(model, inputs, num_items_in_batch)
        self.scale = scale_of(int(num_items_in_batch))
        assert isinstance(self.model, PreTrainedModel | PeftModel)
        with gradients_divided_by(self.scale, self.model):
            return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        """Trainer's own, scaled as it does, from the logits of positions with a label alone."""

        def forward(**batch: Any) -> dict[str, Any]:
            return {"loss": self.labelled_loss(model, **batch)}

        loss: Any = super().compute_loss(forward, inputs, *arguments, **keywords)  # pyright: ignore[reportArgumentType]
        if self.scales_loss:
            loss.register_hook(lambda gradient: gradient * self.scale)
        return loss

    def get_train_dataloader(self) -> Any:
        """Trainer's own, with the same micro-batches in every process."""
        loader = super().get_train_dataloader()
        shards: Any = loader.batch_sampler
        if isinstance(shards, BatchSamplerShard):
            shards.num_processes, shards.process_index, shards.even_batches = 1, 0, False
        return loader

    def get_batch_samples(self, *arguments: Any, **keywords: Any) -> Any:
        """Trainer's own: the micro-batches of an update and their number of labels; here grouped by length."""
        batches, _ = super().get_batch_samples(*arguments, **keywords)
        # Trainer's number has a label of the first position in it, where it does not know the loss of the model.
        n_labels = sum((batch["labels"][:, 1:] != IGNORED).sum() for batch in batches)
        batches = by_length(batches)
        return (share_of_rows(batches, place(), n_processes()) if n_processes() > 1 else batches), n_labels

    def evaluate(self, *arguments: Any, **keywords: Any) -> dict[str, float]:
        """Metrics of `validate`, logged and shown to the callbacks as Trainer's own would be."""
        del arguments, keywords
        assert self.validate is not None
        metrics = {f"eval_{name}": value for name, value in self.validate().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, *arguments: Any, **keywords: Any) -> None:
        with writing(Path(self.args.output_dir or "")):
            super()._save_checkpoint(*arguments, **keywords)
        wait_for_all()

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        model = self.model
        super()._save(output_dir, adapter_weights(model) if isinstance(model, PeftModel) else state_dict)

    def _save_rng_state(self, *arguments: Any, **keywords: Any) -> None:
        super()._save_rng_state(*arguments, **keywords)
        wait_for_all()  # what the first one writes after this says that the checkpoint is whole

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *arguments: Any, **keywords: Any) -> None:
        del arguments, keywords
        assert isinstance(self.model, PreTrainedModel | PeftModel)
        restore(self.model, Path(resume_from_checkpoint))
