"""`client.use()`: a model as a function, with its schema and signature."""
