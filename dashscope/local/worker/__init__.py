"""The process that runs a model: started by the server, spoken to over its standard input."""
