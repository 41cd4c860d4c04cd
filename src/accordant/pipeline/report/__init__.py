"""`report.json` -> `report.html`: one self-contained page of evidence for a run.

`html.render` is the way in; `schema` says what a report holds, and `docs/metrics.md` explains every key. Left out on
purpose: JavaScript, raster images, anything that a browser would have to fetch.
"""

from accordant.pipeline.report.html import render

__all__ = ["render"]
