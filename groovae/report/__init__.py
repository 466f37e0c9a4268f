"""A study of a model as one HTML page with sound.

    from groovae.report import write
    write("report.html", study)

The page is a single file with its style, script, charts and sounds, and works offline: its
Content-Security-Policy allows nothing from outside. Sounds are rendered by `music.sound`; without a
synthesizer the page is silent and gives the reason.
"""

from groovae.report.page import ReportOptions, check, write

__all__ = ["ReportOptions", "check", "write"]
