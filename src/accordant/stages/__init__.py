"""The only place where models, data, algorithms and rewards meet. One module per kind of stage, each with its configuration
type and `run(cfg, folder) -> result`."""
