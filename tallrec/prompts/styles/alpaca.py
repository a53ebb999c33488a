"""What the paper prints, with each demonstration as a whole block of Alpaca's template; ours.

No prompt of the paper's in-context models was released.
"""

from tallrec.prompts.layouts import ANSWER_TEXTS, Style, blocks
from tallrec.prompts.styles.paper import instruction, question

STYLE = Style(instruction, question, blocks, ANSWER_TEXTS)
