"""What the embedded model is taught: concepts, styles and background colours, and their names.

Few things learned crisply are worth more than many learned as coloured blobs, so the list is short
and each entry is a thing that most people can name at a glance. The first name of an entry is its
canonical one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Style = Literal["flat"]

#: npm icon set that stands for each style; versions and licences are in the module ``data``.
STYLE_SETS: Final[dict[Style, str]] = {"flat": "fluent-emoji-flat"}

#: Words that ask for a style, used after ``of`` ("a flat icon of a fox") or before ``style``.
STYLE_WORDS: Final[dict[Style, tuple[str, ...]]] = {
    "flat": ("flat icon", "flat design", "simple flat icon"),
}

BACKGROUNDS: Final[dict[str, tuple[int, int, int]]] = {
    "white": (255, 255, 255),
    "black": (18, 18, 22),
    "grey": (150, 152, 158),
    "red": (214, 48, 49),
    "orange": (244, 150, 60),
    "yellow": (250, 218, 88),
    "green": (62, 168, 92),
    "blue": (56, 124, 222),
    "purple": (132, 84, 192),
    "pink": (250, 166, 196),
}


@dataclass(frozen=True)
class Concept:
    """One thing to draw: the Unicode sequence of its drawing and the nouns that ask for it."""

    emoji: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """Canonical noun, unique in the vocabulary."""
        return self.names[0]


_TABLE: Final = """
🐶 dog, puppy, doggy, dog face
🐱 cat, kitten, kitty, cat face
🦁 lion, lion head
🐯 tiger, tiger face
🦊 fox, fox face
🐻 bear, brown bear
🐼 panda, panda bear
🐮 cow, cow face
🐷 pig, piglet, pig face
🐰 rabbit, bunny
🐸 frog, toad
🐧 penguin
🦉 owl
🐳 whale
🐟 fish
🐙 octopus
🦋 butterfly
🐢 turtle, tortoise
🌹 rose, red rose
🌻 sunflower
🌵 cactus
🌳 tree, leafy tree
🍄 mushroom, toadstool
🍎 apple, red apple
🍌 banana
🍓 strawberry
🍇 grapes, bunch of grapes
🍉 watermelon, slice of watermelon
🍍 pineapple
🍒 cherries, cherry
🥕 carrot
🍔 hamburger, burger, cheeseburger
🍕 pizza, slice of pizza
🍩 donut, doughnut
🎂 cake, birthday cake
🍦 ice cream, ice cream cone
☕ coffee, cup of coffee, hot drink
🚗 car, automobile, red car
🚌 bus
🚲 bicycle, bike
✈️ airplane, plane, aeroplane
🚀 rocket, spaceship
⛵ sailboat, sailing boat, boat
🏠 house, home
🏰 castle
🏔️ mountain, snowy mountain
🌈 rainbow
☀️ sun
🌙 moon, crescent moon
⭐ star, yellow star
⛄ snowman
🔥 fire, flame
☂️ umbrella
⏰ alarm clock, clock
⚽ soccer ball, football
🏀 basketball
🎈 balloon, red balloon
🎁 gift, present, gift box
🎄 christmas tree
🎃 pumpkin, halloween pumpkin
🎸 guitar, electric guitar
🔔 bell, golden bell
👑 crown, golden crown
💎 diamond, gem
🔑 key
💡 light bulb, lamp
📷 camera
❤️ heart, red heart
🤖 robot, robot face
🐴 horse, pony, horse head
🐘 elephant
🐵 monkey, monkey face
🐭 mouse, mouse face
🦆 duck
🐬 dolphin
🦈 shark
🦀 crab
🐌 snail
🐝 bee, honeybee
🐞 ladybug, ladybird
🦄 unicorn
🦖 dinosaur, t-rex
🌷 tulip
🌴 palm tree, coconut palm
🍋 lemon
🍅 tomato
🌽 corn, ear of corn
🍞 bread, loaf of bread
🧀 cheese, piece of cheese
🍟 fries, french fries
🍪 cookie, biscuit
🧁 cupcake, muffin
🚂 train, locomotive, steam train
🚜 tractor
🚒 fire truck, fire engine
🚁 helicopter
☁️ cloud
📕 book, closed book
👻 ghost
🕯️ candle
📺 television, tv
✂️ scissors
🎺 trumpet
🥁 drum
🔒 padlock, lock
🎩 top hat, hat
"""

CONCEPTS: Final[tuple[Concept, ...]] = tuple(
    Concept(
        emoji=line.split(" ", 1)[0],
        names=tuple(name.strip() for name in line.split(" ", 1)[1].split(",")),
    )
    for line in _TABLE.strip().splitlines()
)
