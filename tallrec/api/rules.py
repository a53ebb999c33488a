"""Scores from a server's replies: from the log-probabilities of the first token, or from the text.

With log-probabilities the rules are those of `tallrec.scoring.rules`, on the probabilities that a server
gives: those of the likeliest few tokens. An answer that is not among them gets one by either rule of the authors.

Source:
    Issues 44 (`smallest_of_top`) and 49 (`remainder`) of the authors' repository: two answers to how the AUC of the
    paper's in-context models was computed.
"""

import math
import re
from collections.abc import Mapping, Sequence

from benchmark.schema import Prediction
from tallrec.api.bodies import Reply

SMALLEST_PROBABILITY = 1e-10
"""Of an answer that rounding leaves nothing, or less, of one minus the others; its logarithm must be finite."""
SPACES = " \t\r\n\u2581\u0120\u010a"
"""White space, and the letters that sentencepiece and byte-level tokenizers write for it."""
ANSWER = re.compile(
    r"[\W_]*(?:(?:s|bos|inst|assistant)\W+)?(?:json\s+\W*)?(?:<\|?(?:start|begin)?_?(?:of_)?(?:response|solution)\|?>\W*)?"
    r"(?:(?:the\W+)?(?:final\W+)?answer[\W_]+(?:is[\W_]+)?|"
    r"(?:response|output|prediction|decision)[^\w:\n>]*[:\n>]\W*)?"
    r"(?:boxed\W+)?(?:(?:text(?:bf)?|mathrm)\W+)?(yes|no)(?![^\W_])"
    r"(?!\W*\b(?:and|or)\b\W*(?:yes|no)\b)(?![\"'*`\])]*\s*[/|\\&]\s*[\"'*`\[(]*(?:yes|no)\b)"
    r"(?![ -](?:(?:clear|specific|explicit|sufficient|enough|direct|user)\s+){0,2}(?:one|idea|way|clue|information|"
    r"preferences?|data|details?|context|evidence|indications?|comment|answer|response|prediction|problem|doubt|question|"
    r"matter)\b)",
    re.IGNORECASE,
)
"""An answer is what a reply begins with: a "no" further on may belong to "no way to know". Neither "Yes or No", the
question said again, nor "no doubt" or "no clear evidence" is one. Before it may stand what a template ends with, as
`### Response:`."""
_THOUGHTS = r"(?:\w+[:_])?(?:think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad)"
END_OF_THOUGHTS = re.compile(
    rf"</\s*(?:{_THOUGHTS}|details)\s*>|<[|\uff5c](?:/|end[_\u2581](?:of[_\u2581])?){_THOUGHTS}[|\uff5c]>|\[/THINK\]|"
    r"\u25c1/think\u25b7|<\|channel\|>\s*final\s*<\|message\|>|<channel\|>|<unused95>|\[unused17\]|assistantfinal|"
    r"\.\.\.done thinking\.",
    re.IGNORECASE,
)
BEGIN_OF_THOUGHTS = re.compile(
    rf"<\s*{_THOUGHTS}\s*>|<details\b[^>]*>|<[|\uff5c](?:(?:begin|start)[_\u2581](?:of[_\u2581])?)?{_THOUGHTS}[|\uff5c]>|"
    r"\[THINK\]|\u25c1think\u25b7|<\|channel\|?>|<unused94>|\[unused16\]",
    re.IGNORECASE,
)
"""How models write thoughts into their text, where a server leaves them there; the answer is what follows them."""
REFUSAL = re.compile(r"\b(sorry|apologi[sz]e|can ?not|can['\u2019]t|(un|not )able|as an ai)\b", re.IGNORECASE)
"""What refusals say."""
NEUTRAL_TEXT_SCORE = 0.5


def score_of_top(
    sample_id: str, reply: Reply, answers: Mapping[bool, str], *, missing_answer: str, rule: str
) -> Prediction:
    """The score of one sample from the first token's log-probabilities.

    Details: `answer_mass`, the probability of both answers together; `n_missing`, how many of the two were not among
    the likeliest tokens; `is_refused` and `is_unparsable` (both missing), as for texts.

    Args:
        sample_id: of the sample.
        reply: with at least one log-probability, unless it was withheld; that one is scored as undecided.
        answers: the text of each answer.
        missing_answer: `smallest_of_top` or `remainder`.
        rule: `double_softmax` or `logit_difference`, as in `tallrec.scoring.rules.answer_scores`.
    """
    top = () if reply.is_withheld else reply.top or ()
    found = {liked: _probability(top, text) for liked, text in answers.items()}
    n_missing = sum(probability is None for probability in found.values())
    substitute = _substitute(top, missing_answer)
    yes, no = (substitute if found[liked] is None else found[liked] for liked in (True, False))
    assert yes is not None
    assert no is not None
    score = score_of_probabilities(yes, no, rule)
    details = {
        "answer_mass": sum(probability or 0.0 for probability in found.values()),
        "n_missing": float(n_missing),
        "is_refused": float(reply.is_withheld),
        "is_unparsable": float(n_missing == 2 and not reply.is_withheld),
    }
    return Prediction(sample_id, score, details)


def score_of_probabilities(yes: float, no: float, rule: str) -> float:
    """The score that the probabilities of both answers make, as `tallrec.scoring.rules.answer_scores` of logits.

    Args:
        yes: in (0, 1], as `no`.
        no: of the other answer.
        rule: `double_softmax` or `logit_difference`.
    """
    return math.log(yes) - math.log(no) if rule == "logit_difference" else 1 / (1 + math.exp(no - yes))


def _probability(top: Sequence[tuple[str, float]], answer: str) -> float | None:
    """The probability of every spelling of an answer ("Yes", " Yes", "Yes.") together; None if there is none."""
    word = answer.strip(SPACES).rstrip(".")
    found = [math.exp(value) for token, value in top if token.strip(SPACES).rstrip(".") == word]
    return max(sum(found), SMALLEST_PROBABILITY) if found else None


def _substitute(top: Sequence[tuple[str, float]], missing_answer: str) -> float:
    """The probability of an answer that is not among the likeliest tokens."""
    probabilities = [math.exp(value) for _, value in top] or [1.0]
    if missing_answer == "smallest_of_top":
        return max(min(probabilities), SMALLEST_PROBABILITY)
    return max(1 - sum(probabilities), SMALLEST_PROBABILITY)


def score_of_text(sample_id: str, reply: Reply) -> Prediction:
    """The score of one sample from the text: 1 for yes, 0 for no, one half for a refusal or what says neither.

    Thoughts before the answer are not read.

    Details: `is_refused`, `is_unparsable`.
    """
    said = BEGIN_OF_THOUGHTS.split(END_OF_THOUGHTS.split(reply.text)[-1])[0]
    match = ANSWER.match(said)
    if match and not reply.is_withheld:
        return Prediction(sample_id, float(match[1].lower() == "yes"), {"is_refused": 0.0, "is_unparsable": 0.0})
    is_refused = reply.is_withheld or bool(REFUSAL.search(said))
    details = {"is_refused": float(is_refused), "is_unparsable": float(not is_refused)}
    return Prediction(sample_id, NEUTRAL_TEXT_SCORE, details)
