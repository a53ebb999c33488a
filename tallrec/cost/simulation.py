"""Memory and operations of a tuning or scoring step, foretold by running it on tensors without storage.

The step is the real one: transformers' model, PEFT's adapter, bitsandbytes' layers, the loss of the tuning and AdamW,
on torch's device `meta`. What a real step would allocate is counted from the storages that are alive at a time, so any
architecture of transformers is covered, in seconds, without a weight and without a GPU.

What it leaves out: the runtime itself (CUDA context, libraries), the cuts of a caching allocator, and work space within
an operator other than the loss. A fused attention kernel is replaced by one that keeps what such a kernel keeps.
"""

import math
import tempfile
import weakref
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.modules.linear_cross_entropy  # registers its operators
from peft import PeftModel
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode
from transformers import AttentionInterface, PreTrainedConfig, PreTrainedModel

from tallrec.models.adapters import Lora, trainable_adapter, write_fresh_start
from tallrec.models.architecture import empty_model
from tallrec.models.loading_settings import Loading
from tallrec.models.output_layer import output_layer, output_layer_in_single_precision, output_layer_reads
from tallrec.training.fitting import checkpointing_settings
from tallrec.training.loss import LOGITS, LabelledLoss
from tallrec.training.rows import IGNORED

FUSED, EAGER = "simulated_fused", "simulated_eager"
N_ANSWER_TOKENS = 3
"""Positions with a loss where it is on the answer: "Yes", ".", end of text."""


CROSS_ENTROPY: tuple[Any, ...] = (
    torch.ops.torch_nn._linear_cross_entropy_batch_chunked,
    torch.ops.torch_nn._linear_cross_entropy_batch_chunked_no_reduction,
)
"""Logits, loss and gradient in one operator, into which neither memory nor operations are counted."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step takes."""

    weights_bytes: int
    """The model and its adapter."""
    peak_bytes: int
    """Most bytes alive at a time, weights included."""
    flops: int
    """Floating-point operations; a multiplication and an addition are two."""


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of the storages that are alive, and their peak, while operators run in this mode."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.peak = 0
        self._known: set[int] = set()

    def add(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` until it is freed; one that is counted already is not counted again."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, n_bytes: int) -> None:
        self._known.discard(key)
        self.bytes -= n_bytes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and count what it returns."""
        del types
        result = func(*args, **(kwargs or {}))
        for found in tree_iter(result):
            if isinstance(found, Tensor):
                self.add(found)
        if func.overloadpacket in CROSS_ENTROPY:
            self.peak = max(self.peak, self.bytes + _work_space_of_loss(*args[:2]))
        return result


def simulate_tuning(
    config: PreTrainedConfig,
    loading: Loading,
    lora: Lora,
    *,
    n_rows: int,
    n_tokens: int,
    loss: str,
    gradient_checkpointing: bool,
) -> Step:
    """One micro-batch of rec-tuning, forward and backward, and the update after it.

    Args:
        config: architecture of the base model.
        loading: type and quantization of its weights, and the attention kernel: `eager` keeps a matrix of positions by
            positions, any other is taken to be fused.
        lora: shape of the adapter.
        n_rows: the micro-batch size.
        n_tokens: tokens of each row, padding included.
        loss: `answer` or `all_tokens`.
        gradient_checkpointing: whether activations are computed again in the backward pass.
    """
    loading = _simulated(loading)
    input_ids = torch.zeros((n_rows, n_tokens), dtype=torch.long, device="meta")
    labels = torch.zeros((n_rows, n_tokens), dtype=torch.long)
    if loss == "answer":
        labels[:, :-N_ANSWER_TOKENS] = IGNORED
    adapted = _adapted(empty_model(config, loading), lora, gradient_checkpointing=gradient_checkpointing)
    loss_of = _loss(adapted)
    optimizer = torch.optim.AdamW([parameter for parameter in adapted.parameters() if parameter.requires_grad])
    live = LiveStorages()
    weights = _count_weights(live, adapted)
    with live:
        # The second step finds the state of the optimizer, as all steps but the first do.
        for _ in range(2):
            loss_of(adapted, input_ids=input_ids, labels=labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    # Apart, since the counter keeps tensors alive; unquantized, since it knows torch's own products alone.
    whole = empty_model(config, replace(loading, quantization="none"))
    adapted = _adapted(whole, lora, gradient_checkpointing=gradient_checkpointing)
    loss_of = _loss(adapted)
    with _operations() as counter:
        loss_of(adapted, input_ids=input_ids, labels=labels).backward()
    return Step(weights, live.peak, counter.get_total_flops())


def simulate_scoring(config: PreTrainedConfig, loading: Loading, *, n_rows: int, n_tokens: int) -> Step:
    """One batch of scoring: the forward pass, and logits of the last position alone. Arguments as `simulate_tuning`."""
    loading = _simulated(loading)
    model = empty_model(config, loading)
    input_ids = torch.zeros((n_rows, n_tokens), dtype=torch.long, device="meta")
    live = LiveStorages()
    weights = _count_weights(live, model)
    with live, torch.inference_mode(), _last_position(model), output_layer_in_single_precision(model):
        model(input_ids=input_ids, use_cache=False)
    whole = empty_model(config, replace(loading, quantization="none"))
    with _operations() as counter, torch.inference_mode(), _last_position(whole):
        whole(input_ids=input_ids, use_cache=False)
    return Step(weights, live.peak, counter.get_total_flops())


def in_shards(step: Step, config: PreTrainedConfig, loading: Loading, n_processes: int) -> Step:
    """`step` in one of several processes that share the weights of the base model.

    It holds its part of all of them, whole what is outside of the layers, and two layers: one as it arrives from the
    others and one put together.
    """
    model = empty_model(config, loading)
    outside = {*model.get_input_embeddings().parameters(), *output_layer(model).parameters()}  # one where they are tied
    n_outside = sum(parameter.nbytes for parameter in outside)
    n_whole = sum(parameter.nbytes for parameter in model.parameters())
    a_layer = (n_whole - n_outside) / config.get_text_config().num_hidden_layers
    saved = n_whole - math.ceil(n_whole / n_processes + n_outside + 2 * a_layer)
    return replace(step, weights_bytes=step.weights_bytes - saved, peak_bytes=step.peak_bytes - saved)


def _last_position(model: PreTrainedModel) -> AbstractContextManager[None]:
    """As `tallrec.scoring.logits` does: only the last position goes through the output layer."""
    return output_layer_reads(model, lambda hidden: hidden[:, -1:])


def _adapted(model: PreTrainedModel, lora: Lora, *, gradient_checkpointing: bool) -> PeftModel:
    with tempfile.TemporaryDirectory() as folder, torch.device("meta"):
        write_fresh_start(Path(folder))
        adapted = trainable_adapter(model, Path(folder), lora, seed=0)
    if gradient_checkpointing:
        adapted.activation_checkpointing_enable(checkpointing_settings(model))
        adapted.enable_input_require_grads()
    return adapted.train()


def _loss(adapted: PeftModel) -> LabelledLoss:
    is_capped = getattr(adapted.config, "final_logit_softcapping", None) is not None
    return LabelledLoss(adapted, is_linear=not is_capped)


def _work_space_of_loss(hidden: Tensor, head: Tensor) -> int:
    """The logits of one turn in single precision, of which softmax and gradient take the place."""
    return 4 * min(hidden.shape[0] * head.shape[0], LOGITS)


def _operations_of_loss(hidden: torch.Size, head: torch.Size, *others: Any, **keywords: Any) -> int:
    """Logits from hidden states, and the gradient of the hidden states."""
    del others, keywords
    return 2 * 2 * hidden[0] * hidden[1] * head[0]


def _operations() -> FlopCounterMode:
    return FlopCounterMode(display=False, custom_mapping=dict.fromkeys(CROSS_ENTROPY, _operations_of_loss))


def _count_weights(live: LiveStorages, model: nn.Module) -> int:
    """Count parameters, buffers, and the scales of quantized layers."""
    for module in model.modules():
        scales = (getattr(getattr(module, "state", None), "SCB", None), getattr(module, "quant_state", None))
        kept = [*module._parameters.values(), *module._buffers.values(), scales[0], getattr(scales[1], "absmax", None)]
        for tensor in kept:
            if isinstance(tensor, Tensor):
                live.add(tensor)
    return live.bytes


def _simulated(loading: Loading) -> Loading:
    """The same with a kernel that runs without storage; neither of them needs a mask."""
    AttentionInterface.register(FUSED, _fused)
    AttentionInterface.register(EAGER, _eager)
    return replace(loading, attention=EAGER if loading.attention == "eager" else FUSED)


def _fused(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keywords: Any
) -> tuple[Tensor, None]:
    """Queries, keys, values, the output, and one number a row of the matrix that is never built."""
    del module, mask, keywords
    output = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value, 0.0, True)[0]
    return output.transpose(1, 2).contiguous(), None


def _eager(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **keywords: Any
) -> tuple[Tensor, None]:
    """A matrix of positions by positions, and its softmax in single precision."""
    del module, mask, keywords
    n_queries_a_key = query.shape[1] // key.shape[1]
    key, value = (kept.repeat_interleave(n_queries_a_key, dim=1) for kept in (key, value))
    weights = (query @ key.transpose(2, 3)).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    return (weights @ value).transpose(1, 2).contiguous(), None
