"""Progress bars: a line on a terminal, a widget in a notebook, and nothing elsewhere."""

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Any


def in_notebook() -> bool:
    """Return whether this process is the kernel of a Jupyter notebook."""
    if "ipykernel" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")  # Jupyter's and Colab's


def progress_bar(**options: Any) -> Any:
    """Return a tqdm bar with these options.

    In a notebook without ipywidgets, which its widget needs, it is a line of text.
    """
    if not in_notebook():
        from tqdm import tqdm

        return tqdm(**options, disable=None)
    if importlib.util.find_spec("ipywidgets") is None:
        from tqdm import tqdm

        return tqdm(**options, file=sys.stdout)
    from tqdm.notebook import tqdm as notebook_tqdm

    return notebook_tqdm(**options)


@contextlib.contextmanager
def counter_in_notebook(unit: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a function of the number done and of all, which shows them in a notebook only."""
    if not in_notebook():
        yield lambda done, total: None
        return
    with progress_bar(unit=unit) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
