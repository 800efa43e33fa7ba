"""Everyday English words, written down here: no names at the start of a sentence, and no terms of a trade."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _words(
    """
    a about above across after again against all almost alone along already also although always am among an and another
    any anybody anyone anything are around as at away back be because been before behind being below beside besides
    between beyond both but by can cannot could did do does doing done down during each either else enough even ever
    every everybody everyone everything except few first for from further had has have having he hence her here hers
    herself him himself his how however i if in indeed inside instead into is it its itself just last later least less
    like many may me might mine more most much must my myself near neither never next no nobody none nor not nothing now
    nowhere of off often on once one only onto or other others otherwise our ours ourselves out outside over own per
    perhaps quite rather same second several shall she should since so some somebody someone something sometimes soon
    still such than that the their theirs them themselves then there therefore these they thing things third this those
    though three through thus to together too toward towards two under until up upon us very was we well were what
    whatever when whenever where whether which while who whom whose why will with within without would yes yet you your
    yours yourself yourselves
    """
)
"""Words that a term neither begins nor ends with."""

EVERYDAY_WORDS = FUNCTION_WORDS | _words(
    """
    able according actually add additionally advice afternoon ago agree ahead allow answer apologies appear apply april
    area ask assist assistance attached august available bad based become begin below best better big bring call came
    cannot care case change check choose clear click come complete congratulations consider contact contain context
    continue copy correct create currently date day days dear december decide depending detail details different do
    document does don't early easy email end enter error evening example expect explain fact february feel file fill
    final finally find follow following form found free friday full further general get give glad go good got great
    happen happy hello help helpful hi hope hour hours however i'd i'll i'm i've idea if important include including
    information issue it's january july june keep kind kindly know large late latest leave left let let's letter line
    list little long look lot made main make march matter mean meanwhile meet message minute minutes miss moment monday
    money month months morning move name need new nice night note november number october ok okay old only open option
    order page part people person phone place plan please point possible present previously problem process provide
    question quick quickly read ready really reason receive regarding regards remember reply report request require
    required result return review right said saturday say see send sent september set share short show similarly simple
    sincerely small sometimes sorry specifically start state step steps stop submit sunday sure take talk tell text
    thank thanks that's there's thing think thursday time today tomorrow tonight total try tuesday type understand
    unfortunately update use used useful usually visit wait want way we'll we're we've website wednesday week weekend
    welcome what's word work working world write wrong year years yesterday you'll you're
    """
)
"""Words that are no name though they begin with a capital at the start of a sentence, in a heading or in a greeting."""
