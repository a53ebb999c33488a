"""The report: results in; a self-contained page, a short Markdown text, tables and the ledger out."""
