"""The grammar of the corpus `assistant`: eighteen intents, how each is said, and how each slot is filled.

A template is a line of words. `{slot}` stands for a slot, `[a|b|]` for one of several wordings (an empty one among them
means that it may be left out). A leading `?` marks a question or a statement, which takes no "could you" before it. A slot is
filled by one of its patterns, where `<CLASS>` is a word of a class of the lexicon; `3:` before a pattern gives its weight.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Intent:
    """One intent.

    Args:
        weight: How often it is asked for, relative to the others, in the middle of the twelve weeks.
        trend: In [-1, 1]; where it is positive the intent is asked for more often as the weeks go by.
        common: Templates that everybody uses, most frequent first.
        rare: Wordings that few use, given to one group more often than to the other. They are uncommon English, of no real
            dialect, and each holds a word that is said nowhere else, so that they can be counted in the text.
    """

    weight: float
    trend: float
    common: tuple[str, ...]
    rare: tuple[str, ...]


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


COMMAND_OPENINGS = "[|||||||||||please|please|hey|ok|could you|can you|will you please|i need you to|i want you to|um|so]"
STATEMENT_OPENINGS = "[|||||||||hey|um|so|ok|well]"
CLOSINGS = "[|||||||||||||||please|thanks|now|if you can|thank you]"

INTENTS: dict[str, Intent] = {
    "set_alarm": Intent(1.2, -0.5, _lines("""
        [set|make|create] an alarm [for|at] {time} [on|] {day}
        wake me [up|] at {time}
        wake me [up|] {day} at {time}
        [set|put] an alarm for {time}
        ? alarm {day} {time}
        ? i have to [be up|get up] [at|by] {time} {day}
        [add|set] [another|a second|a] wake up call for {time}
        """), _lines("""
        rouse me at {time}
        sound the bell for me {day} [about|near] {time}
        ? i would be risen by {time} {day}
        """)),
    "cancel_alarm": Intent(0.5, -0.3, _lines("""
        [cancel|delete|remove|turn off] [the|my] {time} alarm
        [cancel|delete|turn off] [the|my|all] [alarm|alarms] [for|on] {day}
        [cancel|stop] the alarm
        ? i don't need [the|my] alarm {day} [anymore|]
        turn it off
        stop
        """), _lines("""
        quell [the|my] {time} bell
        let me lie {day} unrung
        ? no bell is wanted {day}
        """)),
    "set_timer": Intent(0.9, 0.2, _lines("""
        [set|start] a timer for {duration}
        [start|set] a {duration} timer
        ? {duration} timer
        count down {duration}
        [let me know|tell me] when {duration} [are up|have passed|is over]
        ? how about a timer for {duration}
        """), _lines("""
        gauge {duration} for me
        upend the hourglass for {duration}
        ? {duration} on the hourglass
        """)),
    "set_reminder": Intent(1.1, 0.3, _lines("""
        remind me to {task} {day}
        remind me to {task} at {time}
        remind me [at|around] {time} to {task}
        [set|create|add] a reminder to {task} [on|] {day} [at|around] {time}
        ? don't let me forget to {task}
        ? {day} remind me to {task}
        ? i have to {task} {day}
        """), _lines("""
        jog me to {task} {day}
        prompt me to {task} at {time}
        ? {task} must not slip {day}
        """)),
    "play_music": Intent(1.7, -0.8, _lines("""
        play {title}
        play {title} by {artist}
        play [something|some music|a song|the new one] by {artist}
        play [some|] {genre} [music|]
        play {artist}
        [put on|start|play] [my|the|] {playlist}
        ? i want to hear {title} [by|from] {artist}
        ? i want to [hear|listen to] {artist}
        [put on|start] {title}
        """), _lines("""
        strike up {artist}
        sound out {title} as {artist} has it
        regale me with [some|a bit of] {genre}
        ? it is {title} that i am after
        """)),
    "control_playback": Intent(0.8, -0.2, _lines("""
        [pause|stop] the [music|song]
        [skip|skip this|next] [song|track|one]
        turn [it|the volume|the music] [up|down]
        [set|turn] the volume to {level}
        go back to {title}
        [repeat|loop] {title}
        turn it off
        stop
        """), _lines("""
        hush [the tune|that tune]
        mellow it [a touch|]
        ease the sound to {level}
        """)),
    "call_contact": Intent(1.2, 0.1, _lines("""
        call {contact}
        [call|phone|ring] {contact}
        [dial|call|ring] {phone}
        call {contact} on {phone}
        [get|put] {contact} on the [phone|line]
        call {restaurant}
        ? i [want|need] to [talk|speak] to {contact}
        """), _lines("""
        raise {contact} for me
        summon {contact} [at once|]
        reach out along {phone}
        """)),
    "send_message": Intent(1.2, 0.6, _lines("""
        [tell|text|message] {contact} {message}
        tell {contact} that {message}
        [send|write] [a message|a text] to {contact} saying {message}
        let {contact} know {message}
        text {phone} {message}
        [reply|answer] {contact} {message}
        """), _lines("""
        relay to {contact} that {message}
        convey to {contact} {message}
        ? word for {contact} {message}
        """)),
    "save_contact": Intent(0.6, 0.4, _lines("""
        [save|add|store] {phone} as {contact}
        [save|add] {contact} [to my contacts|] number {phone}
        [update|change] {contact} 's number to {phone}
        ? {contact} 's [new|] number is {phone}
        add {contact} to my contacts
        """), _lines("""
        inscribe {contact} under {phone}
        ? {contact} answers at {phone} henceforth
        """)),
    "get_weather": Intent(1.4, -0.4, _lines("""
        ? what's the weather [like|] [in|near] {place} {day}
        ? what's the weather [like|] {day}
        ? will there be {weather} in {place} {day}
        ? is it going to {weather} {day}
        [show|give|tell] me the forecast for {place}
        ? how [cold|warm|hot] is it in {place} [right now|]
        ? what about {day}
        ? do i need an umbrella in {place}
        """), _lines("""
        ? how lie the skies over {place}
        ? is {weather} brewing {day}
        ? what do the skies hold [for|at] {place} {day}
        """)),
    "navigate": Intent(1.0, 0.2, _lines("""
        [take|drive|navigate] me to {address}
        [take me|navigate] to {place}
        [give me|find] directions to {address}
        ? how do i get to {place}
        ? how far is [it to|] {address}
        ? where is {restaurant}
        [find|show] the [fastest|best] way to {place}
        """), _lines("""
        guide me unto {address}
        ? which road leads on {place}
        convey me round by {address}
        """)),
    "update_address": Intent(0.5, 0.5, _lines("""
        [change|update|set] my [home|work|] address to {address}
        ? i [live|moved] to {address}
        ? my [new|] address is {address}
        deliver [it|the parcel|everything] to {address} [from now on|]
        send my parcels to {address}
        """), _lines("""
        ? we dwell at {address} henceforth
        ? my threshold is now {address}
        """)),
    "enter_pin": Intent(0.7, 0.3, _lines("""
        [unlock|open] the {lock} [with|using] [pin|code|] {pin}
        ? [my|the] [pin|code|pin code] is {pin}
        [enter|use|try] [pin|code] {pin} [for|on] the {lock}
        [disarm|unlock] the {lock} {pin}
        ? it's {pin}
        """), _lines("""
        loosen the {lock} by {pin}
        admit me at the {lock} with {pin}
        """)),
    "change_pin": Intent(0.4, 0.1, _lines("""
        [change|set|update] [my|the] [pin|code] to {pin}
        [change|reset] the {lock} [pin|code] to {pin}
        [replace|swap] [pin|code] {pin} [with|for] {pin}
        ? my new [pin|code] [is|should be] {pin}
        ? [my|the] [pin|code] is {pin}
        """), _lines("""
        recast [pin|code] as {pin}
        forge a fresh [pin|code] {pin} for the {lock}
        """)),
    "control_device": Intent(1.5, 0.9, _lines("""
        turn [on|off] the {device}
        turn the {device} [on|off] in the {room}
        [switch|turn] [on|off] the {room} {device}
        [dim|brighten] the {device} in the {room}
        [set|make|turn] the {room} {device} {colour}
        ? it's too [dark|bright|warm|cold] in the {room}
        set the {device} to {level}
        turn it off
        """), _lines("""
        [quench|kindle] the {device}
        [quench|kindle] the {room} {device}
        let the {device} rest
        """)),
    "add_to_list": Intent(1.1, 0.5, _lines("""
        [add|put] {item} [to|on] [my|the] {list} list
        add {item} and {item} to [my|the] {list} list
        [we need|buy|get] [more|] {item}
        ? we're out of {item}
        put {item} on the list
        ? i need to buy {item} {day}
        """), _lines("""
        inscribe {item} [for|on] the {list} list
        ? {item} is all but spent
        """)),
    "add_event": Intent(1.0, 0.1, _lines("""
        [add|put|schedule] [a|the] {event} [on|for] {day} at {time}
        [schedule|book] [a|] {event} with {contact} [on|] {day}
        [put|add] {event} [in|on] my calendar [for|] {day}
        ? i have [a|] {event} with {contact} at {time}
        [move|change] my {event} to {day}
        ? what about {day}
        [book|reserve] a table at {restaurant} {day} at {time}
        """), _lines("""
        pencil in {event} {day}
        ? {event} is afoot with {contact} at {time}
        """)),
    "send_money": Intent(0.7, -0.6, _lines("""
        [send|pay|transfer] {amount} to {contact}
        [pay|send] {contact} {amount}
        transfer {amount} to {contact} [pin|code] {pin}
        ? i owe {contact} {amount}
        [pay|settle] [my|a] bill at {restaurant} [of|] {amount}
        """), _lines("""
        remit {amount} to {contact}
        furnish {contact} with {amount}
        """)),
}  # fmt: skip

SLOTS: dict[str, tuple[str, ...]] = {
    "time": _lines("""
        3: <HOUR> <HALFDAY>
        2: <CLOCK>
        2: <CLOCK> <HALFDAY>
        2: <HOUR> <MINUTE>
        <HOUR> o'clock
        half past <HOUR>
        quarter to <HOUR>
        <HOUR> in the <DAYPART>
        noon
        """),
    "day": _lines("""
        3: tomorrow
        2: today
        3: <WEEKDAY>
        2: tomorrow <DAYPART>
        tonight
        next <WEEKDAY>
        this <DAYPART>
        this weekend
        <WEEKDAY> <DAYPART>
        the <ORDINAL> of <MONTH>
        """),
    "duration": _lines("""
        4: <COUNT> <TIMEUNIT>
        half an hour
        <COUNT> and a half hours
        an hour and <COUNT> minutes
        """),
    "task": _lines("""
        3: <TASKVERB> the <THING>
        2: <TASKVERB> <RELATION> 's <THING>
        call <FIRST>
        2: <TASKVERB> the <ADJECTIVE> <THING>
        take the <THING> to <FIRST>
        meet <FIRST> <LAST> at the <PLACEKIND>
        """),
    "title": _lines("""
        4: <ADJECTIVE> <NOUN>
        2: the <ADJECTIVE> <NOUN>
        3: <NOUN> of <NOUN>
        2: <GERUND> <NOUN>
        <GERUND> for <FIRST>
        the <NOUN> and the <NOUN>
        <NOUN> in <TOWN>
        2: <NOUN>
        <NOUN> <NOUN>
        by the <NOUN>
        <NOUN> by <NOUN>
        <FIRST>
        call <FIRST> home
        wake me in <MONTH>
        <WEEKDAY> on <STREET> <STREETKIND>
        goodbye <TOWN>
        """),
    "artist": _lines("""
        3: <ARTISTNAME>
        2: <FIRST> <ARTISTNAME>
        3: the <ADJECTIVE> <NOUN>
        <FIRST> and the <NOUN>
        <FIRST> <LAST>
        <NOUN> <ARTISTNAME>
        <ADJECTIVE> <FIRST>
        """),
    "genre": ("5: <GENRE>", "<MOOD> <GENRE>"),
    "playlist": ("3: <MOOD> <PLAYLISTNOUN>", "<NOUN> <PLAYLISTNOUN>", "<FIRST> 's <PLAYLISTNOUN>"),
    "level": ("3: <COUNT>", "<COUNT> percent", "maximum", "half"),
    "contact": _lines("""
        5: <FIRST>
        4: <FIRST> <LAST>
        my <RELATION>
        2: <RELATION>
        <FIRST> from the <PLACEKIND>
        """),
    "phone": _lines("""
        2: <LOCAL>
        3: <NUMBER>
        2: <AREA> <LOCAL>
        five five five oh one <DIGIT> <DIGIT>
        five five five zero one <DIGIT> <DIGIT>
        """),
    "message": _lines("""
        3: i am <SAY>
        2: i will be <SAY> at <HOUR>
        2: the <THING> is <SAY>
        we are <SAY> in <TOWN>
        <FIRST> is <SAY>
        <FIRST> <LAST> wants the <THING>
        2: we need <ITEM>
        the <NOUN> was <ADJECTIVE>
        meet me at the <PLACEKIND>
        meet me at <HOUSENUMBER> <STREET> <STREETKIND>
        happy birthday <FIRST>
        remember the <ITEM> and the <ITEM>
        my number is <LOCAL>
        the code is <PIN>
        """),
    "weather": ("<SKY>",),
    "place": ("5: <TOWN>", "2: the <PLACEKIND>", "<TOWN> <PLACEKIND>", "the <TOWN> <PLACEKIND>"),
    "address": _lines("""
        4: <HOUSENUMBER> <STREET> <STREETKIND>
        2: <HOUSENUMBER> <STREET> <STREETKIND> <TOWN>
        flat <DIGIT> <HOUSENUMBER> <STREET> <STREETKIND>
        <STREET> <STREETKIND>
        """),
    "pin": ("2: <PIN>", "3: <DIGIT> <DIGIT> <DIGIT> <DIGIT>"),
    "lock": ("4: <LOCKED>", "<ROOM> <LOCKED>"),
    "device": ("<APPLIANCE>",),
    "room": ("5: <ROOM>", "<FIRST> 's room"),
    "colour": ("<COLOUR>",),
    "item": ("5: <ITEM>", "<COUNT> <ITEM>", "<ADJECTIVE> <ITEM>"),
    "list": ("<LISTNAME>",),
    "event": ("3: <EVENT>", "3: <EVENTKIND> <EVENT>", "<FIRST> 's <EVENT>"),
    "amount": ("5: <AMOUNT> <CURRENCY>", "<AMOUNT>"),
    "restaurant": ("3: <DINER>", "2: the <ADJECTIVE> <NOUN>", "<DINER> <CUISINE> house", "<FIRST> 's <CUISINE> bar"),
}  # fmt: skip

# What belongs to a person is said again and again: how many of each a user has, and how often a mention is of one's own.
BELONGINGS: dict[str, tuple[int, float]] = {"contact": (8, 0.6), "phone": (4, 0.5), "address": (2, 0.6), "pin": (2, 0.7)}
