"""The tables of a report, each once: the page, the CSV files and the LaTeX files all show these."""
