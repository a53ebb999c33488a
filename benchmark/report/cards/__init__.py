"""A tuned adapter for others: its files, a card made from the record, and its results in the form of the Hub."""
