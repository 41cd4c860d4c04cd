"""Talking to checkpoints: `app.make_app` is the application, `serve.serve` runs it. So far for programs, without a page."""
