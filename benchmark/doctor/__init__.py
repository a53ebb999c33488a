"""Whether a machine is ready for a run, and what has changed outside since the values were written down."""
