"""Loss scaling: gradients on their way through a model in float16, multiplied so that it can hold them.

The loss is a mean over the labels of an update. Where it is on all tokens, those are tens of thousands, and the
gradient of one of them is below the smallest numbers of float16. So nearly the sum goes backward in place of the mean:
the factor is a power of two, which rounds nothing, and is taken out again before a parameter sees it.

Source: Micikevicius et al., Mixed Precision Training, ICLR 2018, section 3.2, with a factor that follows from the
number of labels: for 38,400, an update as released, it is 2**15, near the 2**16 that torch's GradScaler begins with.
It has no state, so that a run that is taken up again, and all of several processes, have the same one.
"""

import math
from collections.abc import Generator
from contextlib import contextmanager

import torch
from peft import PeftModel
from transformers import PreTrainedModel


def computes_in_float16(model: PreTrainedModel | PeftModel) -> bool:
    """Whether gradients pass through float16: weights of that type, or 4 bits that are multiplied in it.

    Around weights in 8 bits everything is float32 while a model is tuned, and so are the gradients.
    """
    return any(parameter.dtype == torch.float16 for parameter in model.parameters()) or any(
        getattr(module, "compute_dtype", None) == torch.float16 for module in model.modules()
    )


def scale_of(n_labels: int) -> float:
    """The largest power of two that is no more than the labels of an update; 1 where there are none."""
    return 2.0 ** math.floor(math.log2(max(1, n_labels)))


@contextmanager
def gradients_divided_by(scale: float, model: PreTrainedModel | PeftModel) -> Generator[None]:
    """Within this context, each gradient that reaches a trained parameter is divided by `scale` before it is added."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    hooks = [parameter.register_hook(lambda gradient: gradient / scale) for parameter in trained]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
