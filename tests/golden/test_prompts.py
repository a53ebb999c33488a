"""The prompts byte for byte: a changed byte is another experiment, so a change here has to be meant.

The movies and books are made up; the form is that of the released data and of the paper's printed example, and for
`alpaca` and `gpt` that of Alpaca's training rows and of GPT-3's few-shot prompts.
"""

import pytest

from benchmark.data.domains.released_json import Prompt, render_input
from benchmark.schema import Interaction, Item, Labelled, Sample
from tallrec.prompts.rendering import answer_texts, conversation, render, style_names
from tallrec.prompts.styles import released

ITEMS = {
    **{
        f"m{number}": Item(f"m{number}", "movie", title, f'"{title}"')
        for number, title in enumerate(["Amber Gate (1990)", "Élan, The (1991)", 'A "Quiet" Door (1992)'])
    },
    **{
        f"b{number}": Item(f"b{number}", "book", mention, mention)
        for number, mention in enumerate(
            [
                '"Copper Lake" written by A. Barker',
                '"Iron Bell" written by C. Hooper',
                '"Last Road" written by K. Lawson',
            ]
        )
    },
}
MOVIE = Sample("s", "u", (Interaction("m0", True), Interaction("m1", False)), "m2")
BOOK = Sample("s", "u", (Interaction("b0", False), Interaction("b1", False)), "b2")

RELEASED_MOVIE = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.  # noqa: E501\n"
    "\n"
    "### Instruction:\n"
    "Given the user's preference and unpreference, identify whether the user will like the target movie by "
    'answering "Yes." or "No.".\n'
    "\n"
    "### Input:\n"
    'User Preference: "Amber Gate (1990)"\n'
    'User Unpreference: "Élan, The (1991)"\n'
    'Whether the user will like the target movie "A "Quiet" Door (1992)"?\n'
    "\n"
    "### Response:\n"
)
RELEASED_BOOK = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.  # noqa: E501\n"
    "\n"
    "### Instruction:\n"
    "Given the user's preference and unpreference, identify whether the user will like the target book by "
    'answering "Yes." or "No.".\n'
    "\n"
    "### Input:\n"
    "User Preference: \n"
    'User Unpreference: "Copper Lake" written by A. Barker, "Iron Bell" written by C. Hooper\n'
    'Whether the user will like the target book ""Last Road" written by K. Lawson"?\n'
    "\n"
    "### Response:\n"
)
RELEASED_DISLIKE_MOVIE = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.  # noqa: E501\n"
    "\n"
    "### Instruction:\n"
    "Given the user's preference and unpreference, identify whether the user will dislike the target movie by "
    'answering "Yes." or "No.".\n'
    "\n"
    "### Input:\n"
    'User Preference: "Amber Gate (1990)"\n'
    'User Unpreference: "Élan, The (1991)"\n'
    'Whether the user will dislike the target movie "A "Quiet" Door (1992)"?\n'
    "\n"
    "### Response:\n"
)
PAPER_MOVIE = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n"
    "\n"
    "### Instruction:\n"
    "Given the user's historical interactions, please determine whether the user will enjoy the target new movie by "
    'answering "Yes" or "No".\n'
    "\n"
    "### Input:\n"
    'User\'s liked items: "Amber Gate (1990)".\n'
    'User\'s disliked items: "Élan, The (1991)".\n'
    'Target new movie: A "Quiet" Door (1992)\n'
    "\n"
    "### Response:\n"
)
PAPER_BOOK = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n"
    "\n"
    "### Instruction:\n"
    "Given the user's historical interactions, please determine whether the user will enjoy the target new book by "
    'answering "Yes" or "No".\n'
    "\n"
    "### Input:\n"
    "User's liked items: .\n"
    'User\'s disliked items: "Copper Lake" written by A. Barker, "Iron Bell" written by C. Hooper.\n'
    'Target new book: "Last Road" written by K. Lawson\n'
    "\n"
    "### Response:\n"
)


ALPACA_MOVIE = PAPER_MOVIE
ALPACA_MOVIE_WITH_A_BOOK_SHOWN = PAPER_BOOK + "No.\n\n### Instruction:" + PAPER_MOVIE.partition("### Instruction:")[2]
GPT_MOVIE_QUESTION = (
    'User\'s liked items: "Amber Gate (1990)".\n'
    'User\'s disliked items: "Élan, The (1991)".\n'
    'Target new movie: A "Quiet" Door (1992)'
)
GPT_BOOK_QUESTION = (
    "User's liked items: .\n"
    'User\'s disliked items: "Copper Lake" written by A. Barker, "Iron Bell" written by C. Hooper.\n'
    'Target new book: "Last Road" written by K. Lawson'
)
GPT_INSTRUCTION = (
    "Given the user's historical interactions, please determine whether the user will enjoy the target new movie by "
    'answering "Yes" or "No".'
)
GPT_MOVIE = f"{GPT_INSTRUCTION}\n\n{GPT_MOVIE_QUESTION}\nAnswer:"
GPT_MOVIE_WITH_A_BOOK_SHOWN = f"{GPT_INSTRUCTION}\n\n{GPT_BOOK_QUESTION}\nAnswer: No\n\n{GPT_MOVIE_QUESTION}\nAnswer:"

PROMPT_BYTES = [
    # style, sample, whether the stray comment is wanted, prompt
    ("released", MOVIE, True, RELEASED_MOVIE),
    ("released", BOOK, True, RELEASED_BOOK),
    ("released_dislike", MOVIE, True, RELEASED_DISLIKE_MOVIE),
    ("paper", MOVIE, False, PAPER_MOVIE),
    ("paper", BOOK, False, PAPER_BOOK),
    ("alpaca", MOVIE, True, ALPACA_MOVIE),
    ("gpt", MOVIE, True, GPT_MOVIE),
]
ANSWER_BYTES = {
    "released": ("Yes.", "No."),
    "released_dislike": ("Yes.", "No."),
    "paper": ("Yes.", "No."),
    "alpaca": ("Yes.", "No."),
    "gpt": (" Yes", " No"),
}


def test_every_style_has_its_bytes_here() -> None:
    assert {style for style, *_ in PROMPT_BYTES} == set(style_names())
    assert set(ANSWER_BYTES) == set(style_names())


@pytest.mark.parametrize(("style", "sample", "stray_comment", "expected"), PROMPT_BYTES)
def test_a_prompt_has_these_bytes(style: str, sample: Sample, stray_comment: bool, expected: str) -> None:
    assert render(style, sample, ITEMS, stray_comment=stray_comment).encode() == expected.encode()


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (
            "released",
            RELEASED_MOVIE.replace(
                "### Input:\n",
                "### Input:\n" + RELEASED_BOOK.partition("### Input:\n")[2].replace("\n\n### Response:\n", "\nNo.\n\n"),
            ),
        ),
        ("alpaca", ALPACA_MOVIE_WITH_A_BOOK_SHOWN),
        ("gpt", GPT_MOVIE_WITH_A_BOOK_SHOWN),
    ],
)
def test_a_demonstration_has_these_bytes(style: str, expected: str) -> None:
    shown = render(style, MOVIE, ITEMS, stray_comment=style == "released", demonstrations=[Labelled(BOOK, False)])
    assert shown.encode() == expected.encode()


def test_a_conversation_has_these_messages() -> None:
    assert conversation("gpt", MOVIE, ITEMS, stray_comment=True, demonstrations=[Labelled(BOOK, False)]) == [
        {"role": "user", "content": f"{GPT_INSTRUCTION}\n\n{GPT_BOOK_QUESTION}"},
        {"role": "assistant", "content": "No"},
        {"role": "user", "content": GPT_MOVIE_QUESTION},
    ]
    assert conversation("gpt", MOVIE, ITEMS, stray_comment=True) == [
        {"role": "user", "content": f"{GPT_INSTRUCTION}\n\n{GPT_MOVIE_QUESTION}"}
    ]
    assert conversation("released", MOVIE, ITEMS, stray_comment=True) == [{"role": "user", "content": RELEASED_MOVIE}]


@pytest.mark.parametrize("style", ANSWER_BYTES)
def test_the_answers_have_these_bytes(style: str) -> None:
    assert (answer_texts(style)[True], answer_texts(style)[False]) == ANSWER_BYTES[style]


def test_a_question_is_a_row_of_the_released_files() -> None:
    # Two modules write this line, since neither may import the other.
    for sample in (MOVIE, BOOK):
        mentions = {
            flag: tuple(ITEMS[e.item_id].mention for e in sample.history if e.liked is flag) for flag in (True, False)
        }
        target = ITEMS[sample.target_item_id]
        row = Prompt(mentions[True], mentions[False], target.text, answer=True)
        assert render_input(row, target.noun) == released.question(sample, ITEMS)
