"""The command line: arguments in, words and exit codes out; a thin shell over the services."""
