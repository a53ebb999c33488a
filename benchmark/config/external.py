"""Section `external` of `params.yaml`: files of scores that something outside this pipeline made."""

from benchmark.config.values import Count, Name, Section
from benchmark.schema import Cell, domain_of


class ExternalParams(Section):
    """One file, which is one cell; the seeds of a method are entries of the same name."""

    name: Name
    """Of its row in the tables."""
    path: str
    """CSV, Parquet or JSON lines, from the root of the repository."""
    test_domain: Name
    """The test set that it scores: a domain, or its further test set."""
    n_shots: Count
    """Labelled rows that it saw, trained on or shown: K; 0 for none."""
    seed: Count
    """Of the draw, if it saw one, and of what else it left to chance."""
    trained: bool
    """Whether it was trained, so that another seed would have given other scores."""

    @property
    def cell(self) -> Cell:
        """Where its scores stand among the results."""
        return Cell("external", self.name, domain_of(self.test_domain), self.test_domain, self.n_shots, self.seed)

    @property
    def is_seeded(self) -> bool:
        """Whether another seed would give another result."""
        return self.trained or self.n_shots > 0
