"""Memory and operations of a step: foretold without running it, and measured."""
