"""When pages are written: at the end of a run, after an evaluation, and when asked for. A failing page fails no run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.data.quarantine import one_line
from ssl_platform.errors import RunStopped
from ssl_platform.report import album as albums
from ssl_platform.report import page
from ssl_platform.train.run import read_result

if TYPE_CHECKING:
    from ssl_platform.train.session import Session

Echo = Callable[[str], None]


def after_training(session: Session) -> None:
    """Pictures and page of a pretraining run whose last step is done. Called on the first rank.

    Raises:
        RunStopped: a signal came; weights and numbers are saved already.
    """
    folder = session.folder
    try:
        import torch

        from ssl_platform.report.snapshot import Subject, take

        step = int(folder.result.get("steps") or 0)
        subject = Subject(session.config, session.data, session.model, session.train_rows, step)
        take(folder.path, subject, torch.device("cuda") if session.machine.gpu else None)
        path = folder.file(page.NAME)
        folder.update(paths={"report": str(path)})
        page.write(folder.path)
        folder.say(f"report {path}")
    except RunStopped:
        raise
    except Exception as error:
        folder.say(f"warning: no report ({one_line(error)}); ssl-platform report {folder.path} tries again")


def after_evaluation(result: Mapping[str, Any], echo: Echo = print) -> None:
    """The page of a finished evaluation, from what `result.json` holds."""
    run = (result.get("paths") or {}).get("run")
    if run is None:
        return
    try:
        echo(f"report {page.write(Path(run))}")
    except Exception as error:
        echo(f"warning: no report ({one_line(error)}); ssl-platform report {run} tries again")


def report(run: Path, anonymous: bool = False, echo: Echo = print) -> Path:
    """Write the page of a run, and first its pictures where it ended or still goes on without them.

    Args:
        run: run folder.
        anonymous: without paths, names and pictures.
        echo: takes a line when pictures cannot be made.

    Returns:
        Path of the page.

    Raises:
        UsageError: it is no run folder.
    """
    if _wants_album(run):
        try:
            from ssl_platform.report.rebuild import rebuild
            from ssl_platform.report.snapshot import take

            take(run, rebuild(run))
        except Exception as error:
            echo(f"without new pictures: {one_line(error)}")
    return page.write(run, anonymous=anonymous)


def _wants_album(run: Path) -> bool:
    """Whether there are weights that the album does not show."""
    result = read_result(run)
    if result is None or result.get("command") != "pretrain" or not (run / "encoder.safetensors").exists():
        return False
    found = albums.load(run)
    return found is None or int(found.facts.get("step", -1)) < int(result.get("steps") or 0)
