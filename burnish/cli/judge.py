"""The command that says what people and a judge find of the last round's answers, and whether the judge may score."""

from typing import TYPE_CHECKING

import typer

from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, QuoteOption, SetOption, opened, working
from burnish.cli.terminal import print_json, print_table, print_text

if TYPE_CHECKING:
    from burnish.loop.judged import JudgeQuote
    from burnish.review.standing import JudgedReport


def add_to(app: typer.Typer) -> None:
    """Registers the command of this file."""
    app.command("judge")(show_judge)


def show_judge(
    project: ProjectOption = HERE,
    dry_run: QuoteOption = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Test the judge against people, and say what both find of the last round's answers."""
    from burnish.loop.judged import judge_project, quote_judge
    from burnish.loop.project import locked
    from burnish.records import as_json as data_of

    place = opened(project, changes)
    if dry_run:
        with working(quiet=quiet) as (talk, _):
            quote = quote_judge(place, talk)
        if as_json:
            print_json({"schema_version": 1, "quote": data_of(quote)})
        else:
            _quote(quote)
        return
    with working(quiet=quiet) as (talk, should_stop), locked(place, talk):
        number, found = judge_project(place, talk, should_stop)
    if as_json:
        print_json({"schema_version": 1, "round": number, **data_of(found)})
        return
    _tell(number, found)


def _quote(quote: "JudgeQuote") -> None:
    usd = f"at most {quote.most_usd:,.2f} USD" if quote.is_priced else "no price is known"
    print_text(f"{quote.num_new:,} of {quote.num_questions:,} questions are new: {usd}, {quote.most_tokens:,} tokens")
    print_text(f"\n{quote.first}")


def _tell(number: int, found: "JudgedReport") -> None:
    from burnish.report.judged import ADMISSION_COLUMNS, GAIN_COLUMNS, admission_row, gain_row, told_of

    print_text(f"round {number}: {found.champion} and {found.challenger} on {found.num_rows:,} rows")
    print_table("", list(GAIN_COLUMNS), [list(gain_row(one)) for one in found.questions])
    for one in found.questions:
        print_text("\n".join(told_of(one)))
        if one.slices:
            print_table(one.name, list(ADMISSION_COLUMNS), [list(admission_row(part)) for part in one.slices])
    if found.notes:
        print_text("\n".join(found.notes))
