"""The vocabulary that the families share."""

from __future__ import annotations


def word_list(text: str) -> tuple[str, ...]:
    """Split a text at white space."""
    return tuple(text.split())


WOMEN = word_list(
    """
    Ada Amy Ana Ava Bea Cara Cora Dora Ella Emma Eva Faye Gina Hana Ida Ines Iris Jane Jill Joan
    Kate Lena Lily Lisa Lucy Mara Mary Mia Mina Nina Nora Olga Rita Rosa Ruth Sara Tara Tina Vera
    Zoe
    """
)
MEN = word_list(
    """
    Abe Adam Alan Ben Bill Bob Carl Cole Dan Dave Eli Eric Finn Fred Gus Hal Hugo Ian Ivan Jack Joe
    John Ken Kurt Leo Liam Luis Mark Max Mike Ned Noah Omar Otto Paul Pete Ray Sam Tom Will
    """
)
NAMES = WOMEN + MEN
ADJECTIVES = word_list(
    """
    red blue green black white gray pink small big old new round long short thin heavy clean dry
    plain shiny
    """
)
NOUNS = word_list(
    """
    pens cards books coins stamps shells balls cups plates spoons forks bowls boots socks hats caps
    coats belts rings beads stones rocks bricks tiles nails bolts ropes wires bulbs lamps clocks
    bells drums flutes masks dolls kites robots trucks trains ships planes cars bikes wheels keys
    locks chains maps flags poems letters photos posters pins clips rulers pencils brushes crayons
    paints jars pots pans trays mugs towels pillows sheets candles ribbons buttons needles threads
    scarves gloves shirts vests magnets plums
    """
)
CONTAINERS = word_list(
    """
    boxes bags crates drawers packs tins cases sacks bins chests
    """
)
RELATIVES = word_list(
    """
    mother father sister brother aunt uncle cousin neighbor teacher boss
    """
)

PLACES = (
    "at the market", "at school", "at home", "in the park", "in the garden", "at the fair", "at work",
    "in town", "on the beach", "at the station", "in the attic", "at the library",
)  # fmt: skip

TIMES = (
    "then", "later", "after that", "next", "soon", "on Monday", "on Friday", "on Sunday", "in the evening",
    "at noon", "after lunch", "the next day", "a week later", "in May", "in June", "after school",
)  # fmt: skip
