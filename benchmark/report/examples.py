"""One sample of each generated domain as a language model is asked about it."""

from dataclasses import dataclass

from benchmark.artifacts.files import read_items, read_samples
from benchmark.artifacts.paths import prepared_folder, test_file
from benchmark.config.run_names import asks_language_model
from benchmark.report.inputs import Inputs


@dataclass(frozen=True, slots=True)
class Example:
    """One sample of generated data as a language model is asked about it."""

    domain: str
    style: str
    prompt: str
    is_liked: bool


def examples(inputs: Inputs) -> list[Example]:
    """The example of each domain, once a prompt style of the grid; none without a language model."""
    from tallrec.prompts.rendering import render

    params, found = inputs.params, list[Example]()
    styles = list(dict.fromkeys((*(("released",) if params.grid.recipes else ()), *params.grid.prompts)))
    for domain in params.grid.domains if asks_language_model(params) else ():
        if example := inputs.examples.get(domain):
            sample = next(s for s in read_samples(test_file(domain)) if s.sample_id == example["sample_id"])
            items = read_items(prepared_folder(domain) / "items.parquet")
            for style in styles:
                prompt = render(style, sample, items, stray_comment=params.fidelity.prompt == "released")
                found.append(Example(domain, style, prompt, example["is_liked"]))
    return found
