"""Titles as a prompt may hold them: one line, nothing invisible, nothing that templates or tokenizers read as theirs.

Raw files come from strangers. A line feed in a title would let it write lines of the prompt, such as an answer; a
special token, such as the end of a text, would end the prompt where the tokenizer reads it. No title of MovieLens-100K
or of the released book files is changed.
"""

import re
import unicodedata

MOST_LETTERS = 500
"""Of a title; the longest of the released data, with its author, has 282."""
KEPT_INVISIBLE = "\u00ad\u200c\u200d"
"""Soft hyphen, which released titles hold, and the two joiners that some scripts are not written without."""
AFTER_MARKERS = re.compile(
    r"(?<=<)(?=\S)|(?<=\[)(?=/?(?:INST|CLS|SEP|PAD|MASK|UNK|BOS|EOS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_[A-Z_]+)\])"
)
"""Behind what special tokens begin with: `<s>`, `<|im_end|>`, `<start_of_turn>`, `[SEP]`, `[/INST]`, ...; HTML too."""
HEADING = re.compile("#{2,}")
"""`###` opens the parts of Alpaca's template."""


def plain(title: str, most_letters: int | None = MOST_LETTERS) -> str:
    """A title without what could be taken for more than a title; applied twice, it changes nothing more.

    Line ends and control characters become spaces; half characters become U+FFFD; invisible characters (zero width,
    direction of writing, tags) go, letters of scripts written from the right stay; a space breaks what special tokens
    and tags begin with; several `#` become one; what is longer is cut and ends in an ellipsis. Quotes stay, as in the
    released prompts.

    Args:
        title: any text.
        most_letters: at most so many; None: any number.
    """
    if not title.isprintable():
        title = "".join(map(_visible, title))
    title = HEADING.sub("#", AFTER_MARKERS.sub(" ", title))
    if most_letters is not None and len(title) > most_letters:
        title = title[: most_letters - 1].rstrip("<[") + "\u2026"
    return title


def _visible(letter: str) -> str:
    category = unicodedata.category(letter)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category == "Cs":
        return "\ufffd"
    return "" if category == "Cf" and letter not in KEPT_INVISIBLE else letter
