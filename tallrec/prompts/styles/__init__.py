"""Prompt styles, one file each, byte exact: its name is that of the style, its `STYLE` what it says."""
