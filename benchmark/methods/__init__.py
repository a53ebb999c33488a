"""What fills a row of the tables: the grid, and every kind of method as one function from a task to scores."""
