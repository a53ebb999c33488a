"""What the paper prints, as GPT-3 was shown demonstrations, or as chat messages; ours.

No prompt of the paper's in-context models was released.
"""

from tallrec.prompts.layouts import Style, completion
from tallrec.prompts.styles.paper import instruction, question

STYLE = Style(instruction, question, completion, {True: " Yes", False: " No"}, is_chat=True)
