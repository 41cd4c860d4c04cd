"""The web applications. Nothing in the package imports them but the command line."""
