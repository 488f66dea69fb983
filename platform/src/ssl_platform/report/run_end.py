"""When pages are written: at the end of a run, after an evaluation, and when asked for. A failing page fails no run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl_platform.data.files import replace_file
from ssl_platform.data.quarantine import one_line
from ssl_platform.errors import RunFailed, RunStopped, UsageError
from ssl_platform.report import album as albums
from ssl_platform.report import page
from ssl_platform.train.run import read_result

if TYPE_CHECKING:
    from ssl_platform.train.run import RunFolder
    from ssl_platform.train.session import Session
    from ssl_platform.transfer.opening import Opened
    from ssl_platform.transfer.prediction import Session as Applied

Echo = Callable[[str], None]
_TABLES = {".md": "compare.md", ".csv": "compare.csv", ".html": page.NAME}


def after_training(session: Session) -> None:
    """Pictures and page of a pretraining run whose last step is done. Called on the first rank.

    Raises:
        RunStopped: a signal came; weights and numbers are saved already.
    """
    folder = session.folder
    with _only_warned(folder, "report"):
        import torch

        from ssl_platform.report.snapshot import Subject, take

        step = int(folder.result.get("steps") or 0)
        subject = Subject(session.config, session.data, session.model, session.train_rows, step)
        take(folder.path, subject, torch.device("cuda") if session.machine.gpu else None)
        path = folder.file(page.NAME)
        folder.update(paths={"report": str(path)})
        page.write(folder.path)
        folder.say(f"report {path}")


def pictures_of(folder: RunFolder, opened: Opened) -> None:
    """Pictures of an evaluation that is done; its folder is still open.

    Raises:
        RunStopped: a signal came; predictions and numbers are saved already.
    """
    with _only_warned(folder, "pictures"):
        from ssl_platform.report.evaluation_snapshot import take

        take(folder.path, opened)


def pictures_of_predictions(folder: RunFolder, session: Applied) -> None:
    """Pictures of what a model said of other data; its folder is still open.

    Raises:
        RunStopped: a signal came; predictions and numbers are saved already.
    """
    with _only_warned(folder, "pictures"):
        from ssl_platform.report.prediction_snapshot import take

        take(folder.path, session)


@contextmanager
def _only_warned(folder: RunFolder, what: str) -> Iterator[None]:
    """What fails inside is a line of the run and no error of it."""
    try:
        yield
    except RunStopped:
        raise
    except Exception as error:
        folder.say(f"warning: no {what} ({one_line(error)}); ssl-platform report {folder.path} tries again")


def after_evaluation(result: Mapping[str, Any], echo: Echo = print) -> None:
    """The page of a finished evaluation, from what `result.json` holds."""
    run = (result.get("paths") or {}).get("run")
    if run is None:
        return
    try:
        echo(f"report {page.write(Path(run))}")
    except Exception as error:
        echo(f"warning: no report ({one_line(error)}); ssl-platform report {run} tries again")


def check_out(path: Path) -> Path:
    """The file a comparison is written to besides its folder.

    Raises:
        UsageError: its ending is none of a table's, or its folder is missing.
    """
    if path.suffix.lower() not in _TABLES:
        raise UsageError(f"--out {path}: a table is written as {', '.join(_TABLES)}; choose one of these endings")
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: there is no folder {path.parent}; make it first")
    return path


def after_comparison(result: Mapping[str, Any], out: Path | None, echo: Echo = print) -> None:
    """The page of a comparison, and its table where it was asked for.

    Args:
        result: `result.json`.
        out: from `check_out`.
        echo: takes lines for the user.
    """
    after_evaluation(result, echo)
    if out is None:
        return
    written = Path(result["paths"]["run"]) / _TABLES[out.suffix.lower()]
    if not written.exists():
        raise RunFailed(f"--out {out}: the page could not be written; the table is in {written.parent}")
    with replace_file(out) as temporary:
        temporary.write_bytes(written.read_bytes())
    echo(f"out {out}")


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
            from ssl_platform.report.rebuild import take_again

            take_again(run)
        except Exception as error:
            echo(f"without new pictures: {one_line(error)}")
    return page.write(run, anonymous=anonymous)


def _wants_album(run: Path) -> bool:
    """Whether there are weights that the album does not show."""
    result = read_result(run)
    if result is None:
        return False
    found = albums.load(run)
    if result.get("command") in ("probe", "finetune", "predict"):
        return found is None and result.get("status") == "done"
    if result.get("command") != "pretrain" or not (run / "encoder.safetensors").exists():
        return False
    return found is None or int(found.facts.get("step", -1)) < int(result.get("steps") or 0)
