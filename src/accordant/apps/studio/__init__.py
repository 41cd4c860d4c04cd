"""The studio: where people say what they prefer. `app.make_app` is the application, `serve.serve` runs it."""
