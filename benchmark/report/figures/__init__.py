"""Geometry of the figures, a module a kind; `templates/figures.svg.j2` draws them. Units are those of the view box."""
