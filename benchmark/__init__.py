"""The harness: data, few-shot draws, metrics, verdicts and the report. Importing it never imports torch."""
