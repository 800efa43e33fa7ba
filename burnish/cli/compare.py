"""Commands that have both versions of a canary compared on real conversations: deploy judge and deploy ask."""

from typing import TYPE_CHECKING, Annotated

import typer

from burnish.cli.deploy import group
from burnish.cli.options import HERE, JsonOption, ProjectOption, QuietOption, QuoteOption, SetOption, opened, working
from burnish.cli.terminal import print_found

if TYPE_CHECKING:
    from burnish.loop.comparing import DuelQuote, JudgedCanary
    from burnish.records import Interval

CountOption = Annotated[int, typer.Option("--count", min=2, max=10_000, help="Conversations at most.")]


def add_to(app: typer.Typer) -> None:
    """Adds nothing to the program itself: the commands of this file are of the group deploy."""
    assert any(one.typer_instance is group for one in app.registered_groups), "deploy is registered first"


@group.command("judge")
def judge_deployment(
    project: ProjectOption = HERE,
    count: CountOption = 100,
    dry_run: QuoteOption = False,
    changes: SetOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Have the judge compare both versions on conversations that users said nothing of; deploy step then counts it."""
    from burnish.loop.comparing import judge_canary, quote_canary
    from burnish.loop.project import locked
    from burnish.loop.stages import shop_outside_rounds
    from burnish.records import as_json as data_of

    place = opened(project, changes)
    with working(quiet=quiet) as (talk, should_stop), locked(place, talk):
        shop = shop_outside_rounds(place, talk, should_stop)
        found = quote_canary(shop, count=count) if dry_run else judge_canary(shop, count=count)
    print_found({"quote": data_of(found)} if dry_run else data_of(found), _told(found), as_json=as_json)


@group.command("ask")
def ask_deployment(
    project: ProjectOption = HERE,
    count: CountOption = 20,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ask people whose answer is better, blind, in the review queue; what they say counts from the next look on."""
    from burnish.loop.comparing import ask_people
    from burnish.loop.project import locked
    from burnish.loop.stages import shop_outside_rounds

    place = opened(project)
    with working(quiet=quiet) as (talk, should_stop), locked(place, talk):
        found = ask_people(shop_outside_rounds(place, talk, should_stop), count=count)
    data = {"num_new": found.num_new, "num_items": len(found.items), "minutes": found.minutes}
    text = f"{found.num_new} new questions, about {found.minutes:.0f} minutes of people; see burnish ui"
    print_found({**data, "is_limited": found.is_limited}, text, as_json=as_json)


def _told(found: "JudgedCanary | DuelQuote") -> str:
    from burnish.loop.comparing import DuelQuote

    if isinstance(found, DuelQuote):
        usd = f"at most {found.most_usd:,.2f} USD" if found.is_priced else "no price is known"
        new = f"{found.num_new:,} of {found.num_questions:,} questions on {found.num_conversations:,} conversations"
        return f"{new} are new: {usd}, {found.most_tokens:,} tokens\n\n{found.first}"
    ties = found.num_conversations - found.num_better - found.num_worse
    lines = [
        f"{found.num_conversations:,} conversations: the challenger is better in {found.num_better:,}, worse in "
        f"{found.num_worse:,}, {ties:,} ties ({found.num_same:,} answers are the same, in {found.num_turned:,} the "
        f"order decided, {found.num_unusable:,} replies were of no use)",
        f"it prefers what comes first: {_shown(found.first)}; 50% is fair",
        f"it leans to the challenger, against people: {_shown(found.lean)}",
    ]
    if found.is_refused:
        return "\n".join([*lines, REFUSED])
    alone = f"its word alone moves no canary up ({found.objection}): burnish deploy ask asks people"
    return "\n".join([*lines, *([alone] if found.objection else [])])


REFUSED = "the lean is proven, so none of its comparisons counts"


def _shown(one: "Interval") -> str:
    if one.value is None or one.low is None or one.high is None:
        return "nothing is known"
    return f"{one.value:+.0%} [{one.low:+.0%}, {one.high:+.0%}] of {one.n}"
