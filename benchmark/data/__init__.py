"""Raw files -> samples, few-shot draws and tasks."""
