"""Runs that git holds, and the page that compares them."""
