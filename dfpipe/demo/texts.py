"""Texts of the demo's synthetic timeline.

In a line, `{a|b|c}` becomes one of its parts; earlier ones are chosen more often.
"""

from dataclasses import dataclass

NAMES = (
    *("anna", "ben", "chloe", "david", "emma", "farid", "grace", "hugo", "ines", "jonas", "keiko"),
    *("liam", "maria", "nadia", "oscar", "priya", "quentin", "rosa", "sven", "tara", "ulrich"),
    *("vera", "wang", "ximena", "yusuf", "zoe", "aiko", "bruno", "carla", "dmitri", "elif", "finn"),
    *("greta", "hana", "ivan", "julia", "kofi", "lena", "mateo", "nora", "olga", "pablo", "rania"),
    *("samir", "tom", "ursula", "victor", "wendy", "yara", "zeno"),
)
EMOJI = ("😂", "❤️", "🔥", "👏", "😭", "🎉", "☕", "🌧️", "👀", "🙏")
# Tracking parameters, which links pick up when they are shared.
TRACKING = (
    "utm_source=feed&utm_medium=social",
    "fbclid=demo{n}",
    "utm_campaign=share",
    "gclid={n}",
)


@dataclass(frozen=True, slots=True)
class Story:
    """Something that people talk about for some days.

    `size` is its posts an hour at the peak, against 60 posts on nothing in particular.
    """

    size: int
    tag: str
    lines: tuple[str, ...]
    links: tuple[str, ...]


# In the order in which they begin, one every half a day and then from the first again.
STORIES = (
    Story(
        34,
        "StormOdette",
        (
            "Storm Odette {reaches|nears|is hours from} the harbour, {ferries|boats} stay in port",
            "The harbour wall is {closed|under water} and the storm has not even {peaked|begun}",
            "Storm warning {raised|extended}: stay away from the harbour {tonight|until noon}",
            "{Sandbags|Neighbours} everywhere at the harbour, the storm brings out the best in us",
            "Storm {update|news}: flood sirens {tested|heard} along the coast",
        ),
        ("https://weather.example.org/storm-odette", "https://news.example.com/harbour-flood"),
    ),
    Story(
        38,
        "CupFinal",
        (
            "Northport {win|take} the cup final on penalties, {unbelievable|what a night}",
            "That penalty in extra time! The cup final had {everything|it all}",
            "Silverdale keeper saves {two penalties|a penalty} and still {loses|lifts no} cup",
            "Whole street {singing|awake} after the cup final. Northport till I die",
            "Referee {missed|gave} a clear penalty, Silverdale fans will never forget this final",
        ),
        (
            "https://sport.example.com/cup-final/report",
            "https://video.example.net/watch?v=cup-final",
        ),
    ),
    Story(
        22,
        "LumenNine",
        (
            "The Lumen Nine has a {folding|bigger} screen and {no|one} charger. Who asked for this",
            "Battery life of the Lumen Nine is {great|two days}, the price is {not|a joke}",
            "Watching the Lumen Nine launch: {same|another} camera, new {colour|screen}",
            "Queue for the Lumen Nine already goes {round the block|past the bakery}",
        ),
        (
            "https://gadgets.example.com/lumen-nine?page=review",
            "https://shop.example.net/lumen-nine",
        ),
    ),
    Story(
        28,
        "MayorDebate",
        (
            "Mayor debate tonight: {rents|buses|schools} first, {answers|facts} later",
            "Candidate Okafor {wins|owns} the debate on rents, Lindqvist {looks|seems} tired",
            "Lindqvist promises free buses, Okafor asks who pays. Best moment of the debate",
            "Not one {question|word} about cycling in the whole mayor debate",
            "Polls after the debate: Okafor {ahead|leads}, Lindqvist {close|second}",
        ),
        ("https://news.example.com/mayor-debate-live", "https://polls.example.org/city/mayor"),
    ),
    Story(
        24,
        "CroissantHat",
        (
            "The baker wearing a croissant hat {made|saved} my {week|day}",
            "Croissant hat is the {only|best} meme this bakery has ever needed",
            "My bakery now {sells|has} a croissant hat and there is a queue",
            "{Explaining|Sending} the croissant hat to my grandmother, wish me luck",
        ),
        ("https://pictures.example.net/croissant-hat", "https://bakery.example.com/#hat"),
    ),
    Story(
        26,
        "RailStrike",
        (
            "Rail strike: {no|hardly any} trains from central station {today|tomorrow}",
            "Union and operator talk {again|all night}, the rail strike goes on",
            "Walked {two hours|nine kilometres} because of the rail strike, would do it again",
            "Replacement bus for the cancelled train was {late|full}. Rail strike day {two|three}",
        ),
        ("https://travel.example.org/rail-strike", "https://news.example.com/rail-strike-talks"),
    ),
    Story(
        18,
        "CometIkaros",
        (
            "Saw comet Ikaros with {bare eyes|binoculars} above the {hill|roofs}, speechless",
            "Comet Ikaros is {brightest|visible} {tonight|before dawn}, look west after sunset",
            "My telescope finally paid off: comet Ikaros and its {two tails|tail}",
            "Clouds again. Comet Ikaros comes back in {800|eight hundred} years, I can wait",
        ),
        ("https://sky.example.org/comet-ikaros", "https://pictures.example.net/comet"),
    ),
    Story(
        25,
        "PenguinWatch",
        (
            "The escaped penguin was {seen|filmed} at the {fish market|fountain} this morning",
            "Zoo asks {everybody|people} not to feed the escaped penguin",
            "Escaped penguin {takes|rides} the tram, pays {no fare|with fish}",
            "They {caught|found} the penguin! It had {moved|walked} to the fish market",
        ),
        ("https://zoo.example.org/penguin", "https://video.example.net/watch?v=penguin-tram"),
    ),
    Story(
        20,
        "GoldenLantern",
        (
            "Golden Lantern goes to {Salt Roads|a first film}, the {whole|entire} room in tears",
            "Director of Salt Roads thanks {her mother|the crew} at the festival",
            "Red carpet, {rain|wind} and Salt Roads: the festival in {one|a} picture",
            "Salt Roads is {three hours|long} and I {want|need} more. Golden Lantern deserved",
        ),
        ("https://film.example.com/golden-lantern", "https://film.example.com/salt-roads?lang=en"),
    ),
    Story(
        17,
        "ChessCrown",
        (
            "A queen sacrifice on move {19|twenty}, the chess crown is {open|hers} again",
            "Commentators {silent|shouting} after the queen sacrifice. Chess is {alive|art}",
            "Game {nine|ten} of the chess crown: draw, {nerves|six hours}, tea",
            "My {kids|students} replay the queen sacrifice on the {kitchen|school} board",
        ),
        ("https://chess.example.org/crown/game-9", "https://news.example.com/queen-sacrifice"),
    ),
    Story(
        23,
        "AtticVermeer",
        (
            "Lost painting {found|turns up} in an attic, museum {confirms|checks} it is real",
            "A painting behind the {water tank|wardrobe}, in an attic, for {ninety|100} years",
            "Museum shows the attic painting from {Friday|next week}, tickets {gone|sold out}",
            "Checked my own attic: no painting, one {bat|accordion}",
        ),
        ("https://museum.example.org/attic-painting", "https://news.example.com/attic-painting"),
    ),
    Story(
        36,
        "Blackout",
        (
            "Power outage in the {whole|old} town, {candles|neighbours} on every balcony",
            "Power outage {over|ends} after {five hours|midnight}, the fridge did not make it",
            "Substation {fire|fault} behind the power outage, says the grid operator",
            "Never saw so many stars as in the power outage",
        ),
        ("https://grid.example.com/outage-map", "https://news.example.com/substation"),
    ),
    Story(
        21,
        "CityMarathon",
        (
            "Marathon record by {ninety|12} seconds, she {ran|flew} the last bridge alone",
            "Finished my first marathon! Knees {disagree|filed a complaint}",
            "Volunteers with {oranges|drums} at every bridge, best marathon {ever|so far}",
            "Marathon record holder {trains|lives} in my street and I {never|did not} know",
        ),
        ("https://run.example.org/marathon/results", "https://run.example.org/marathon/photos"),
    ),
    Story(
        19,
        "MoonProbe",
        (
            "Moon probe has landed! First {picture|signal} from the crater {rim|floor}",
            "Mission control {cheering|crying}: the moon probe {answers|stands upright}",
            "The moon probe drills for {ice|water} in a crater that never saw the sun",
            "Kids named the moon probe {Pebble|Biscuit} and it {worked|landed}",
        ),
        ("https://space.example.org/moon-probe", "https://video.example.net/watch?v=moon-landing"),
    ),
)

# What people write about on any day: one of each, put together.
OPENERS = (
    *("Honestly,", "So", "Well,", "Update:", "Note to self:", "Overheard:", "Good morning,"),
    *("Weekend:", "Still thinking:", "Opinion:", "Day {3|12|40}:", "Okay,", "Why"),
    *("Today I learned that", "My sister says", "Small joys:", "I swear", "Breaking:", "Reminder:"),
    *("It's {Monday|Friday|late} and", "Can't explain it, but", "Dear diary,", "Who knew:", "And"),
)
THINGS = (
    *(
        "coffee",
        "tea",
        "the bus",
        "my cat",
        "the neighbour's dog",
        "a nap",
        "soup",
        "this playlist",
    ),
    *("my bike", "the printer", "Lisbon", "Oslo", "Kyoto", "fresh bread", "a long walk", "the gym"),
    *("homework", "the new series", "rain", "sunshine", "my haircut", "the lift", "pizza", "jazz"),
    *("the library", "my garden", "Python", "a good book", "the museum café", "knitting", "lunch"),
    *(
        "the weekend",
        "silence",
        "a cold shower",
        "my inbox",
        "the car park",
        "ice cream",
        "dancing",
    ),
    *("the last chapter", "grandma's recipe", "the swimming pool", "a window seat", "our team"),
)
COMMENTS = (
    *("is all I need", "makes no sense", "was worth the wait", "deserves a holiday", "at last"),
    *("kept me awake", "is underrated", "before breakfast", "with friends", "&amp; nothing else"),
    *("for the third time this week", "and nobody told me", "is my whole personality now"),
    *("has a waiting list", "smells like summer", "beats everything", "in the rain", "again"),
    *("went better than expected", "changed my mind", "is broken", "never gets old", "on repeat"),
    *("cures most things", "costs more each year", "makes me smile", "and then straight to bed"),
    *("is late as usual", "looks different at night", "needs no excuse", "without my phone"),
    *("is better than its reputation", "brings people together", "always wins", "can wait"),
)
FOREIGN = (
    "Bonjour {tout le monde|à tous}, {café|thé} et croissant ce matin",
    "Encore {du retard|la pluie}, {quelle surprise|comme d'habitude}",
    "{Guten Morgen|Schönen Abend} aus {Köln|Zürich}, {Kaffee|Kuchen} für alle",
    "Der Zug {fällt aus|kommt später}, also {spazieren|lesen} wir",
    "Buenos días, {café|mañana} tranquila en {Sevilla|Córdoba}",
    "Qué {noche|película} tan {larga|bonita}, mañana más",
    "おはようございます、{コーヒー|散歩}の時間です",
    "{今日|明日}は{雨|晴れ}でしょうか",
)
CHATTER_LINKS = (
    "https://music.example.com/playlist?id=42",
    "https://blog.example.org/bread",
    "https://video.example.net/watch?v=cats",
    "https://www.example.com/recipes/soup",
    "https://code.example.org/python/tips",
)
