"""A study of a model as one HTML page, to look at and to listen to.

    from groovae.report import write
    write("report.html", study)

The page is one file that needs no network: its style, its script, its charts and its sound are in
it, and its Content-Security-Policy lets nothing else in. Of many samples and pairs it shows the
first ones and folds the others away. What a browser plays is rendered by `music.sound`; where
there is no synthesizer, the page is made without sound and says why.
"""

from groovae.report.page import ReportOptions, check, write

__all__ = ["ReportOptions", "check", "write"]
