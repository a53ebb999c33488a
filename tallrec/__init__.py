"""The paper's method: prompts, base model, instruction tuning, rec-tuning, scoring, in-context learning."""

import logging
import warnings

# Remarks of libraries on their own business: nothing a user could do about.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
# PEFT asks each model by the former name.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
