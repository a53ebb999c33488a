"""Scores and test labels -> numbers: metrics, intervals, differences."""
