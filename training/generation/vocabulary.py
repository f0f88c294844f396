"""What the embedded model is taught: things, styles, grounds and paints, and their names.

Each entry is a thing that most people can name at a glance and that every icon set draws. The
first name of an entry is its canonical one. No people, no weapons, no brands, no writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Style = Literal["3d", "flat", "cartoon"]

#: npm icon set that stands for each style; versions and licences are in the module ``data``. The
#: first is what a prompt gets that names no style.
STYLE_SETS: Final[dict[Style, str]] = {
    "3d": "fluent-emoji-3d",
    "flat": "fluent-emoji-flat",
    "cartoon": "noto",
}

#: Words that ask for a style, used after ``of`` ("a flat icon of a fox") or before ``style``.
STYLE_WORDS: Final[dict[Style, tuple[str, ...]]] = {
    "3d": ("3d render", "3d icon", "3d model", "3d"),
    "flat": ("flat icon", "flat design", "flat vector", "minimal flat icon", "flat"),
    "cartoon": ("cartoon", "cartoon drawing", "illustration", "cartoon illustration", "drawing"),
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
    "brown": (132, 88, 60),
    "light blue": (168, 214, 244),
}

#: Colours that a thing can be painted in: "a blue cat".
PAINTS: Final[dict[str, tuple[int, int, int]]] = {
    "red": (224, 36, 44),
    "orange": (250, 136, 28),
    "yellow": (246, 204, 36),
    "green": (44, 164, 76),
    "blue": (36, 104, 228),
    "purple": (128, 64, 204),
    "pink": (248, 112, 172),
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
🐩 poodle
🐺 wolf
🐱 cat, kitten, kitty, cat face
🦁 lion, lion head
🐯 tiger, tiger face
🐆 leopard, cheetah
🦊 fox, fox face
🦝 raccoon
🐻 bear, brown bear
🐼 panda, panda bear
🐨 koala
🐮 cow, cow face
🐂 ox, bull
🐷 pig, piglet, pig face
🐗 boar, wild boar
🐏 ram
🐑 sheep, lamb
🐐 goat
🐪 camel, dromedary
🦙 llama, alpaca
🦒 giraffe
🐘 elephant
🦏 rhino, rhinoceros
🦛 hippo, hippopotamus
🐭 mouse, mouse face
🐀 rat
🐹 hamster
🐰 rabbit, bunny
🐿️ squirrel, chipmunk
🦔 hedgehog
🦇 bat
🦥 sloth
🦦 otter
🦘 kangaroo
🐴 horse, pony, horse head
🦄 unicorn
🦓 zebra
🦌 deer, stag
🐵 monkey, monkey face
🦍 gorilla
🐔 chicken, hen
🐓 rooster
🐤 chick, baby chick
🐦 bird
🐧 penguin
🦅 eagle
🦆 duck
🦢 swan
🦉 owl
🦩 flamingo
🦚 peacock
🦜 parrot
🐸 frog, toad
🐊 crocodile, alligator
🐢 turtle, tortoise
🦎 lizard, gecko
🐍 snake
🐲 dragon, dragon head
🦕 brontosaurus, sauropod
🦖 dinosaur, t-rex
🐳 whale
🐬 dolphin
🐟 fish
🐠 tropical fish
🐡 blowfish, pufferfish
🦈 shark
🐙 octopus
🐚 seashell, shell
🦀 crab
🦞 lobster
🦐 shrimp
🦑 squid
🐌 snail
🦋 butterfly
🐛 caterpillar
🐜 ant
🐝 bee, honeybee
🐞 ladybug, ladybird
🕷️ spider
💐 bouquet, bunch of flowers
🌸 cherry blossom, flower
🌹 rose
🌺 hibiscus
🌻 sunflower
🌼 daisy
🌷 tulip
🌱 seedling, sprout
🌲 pine tree, fir tree
🌳 tree, leafy tree
🌴 palm tree, coconut palm
🌵 cactus
🍀 clover, four leaf clover
🍁 maple leaf
🍄 mushroom, toadstool
🍇 grapes, bunch of grapes
🍈 melon
🍉 watermelon, slice of watermelon
🍊 orange fruit, tangerine, mandarin
🍋 lemon
🍌 banana
🍍 pineapple
🥭 mango
🍎 apple
🍐 pear
🍑 peach
🍒 cherries, cherry
🍓 strawberry
🥝 kiwi, kiwi fruit
🍅 tomato
🥥 coconut
🥑 avocado
🍆 eggplant, aubergine
🥔 potato
🥕 carrot
🌽 corn, ear of corn
🌶️ chili pepper, hot pepper
🥒 cucumber
🥦 broccoli
🧄 garlic
🧅 onion
🥜 peanut
🌰 chestnut
🍞 bread, loaf of bread
🥐 croissant
🥖 baguette
🥨 pretzel
🥯 bagel
🥞 pancakes, stack of pancakes
🧇 waffle
🧀 cheese, piece of cheese
🍗 chicken leg, drumstick
🥩 steak
🥓 bacon
🍔 hamburger, burger, cheeseburger
🍟 fries, french fries
🍕 pizza, slice of pizza
🌭 hot dog
🥪 sandwich
🌮 taco
🌯 burrito
🥚 egg
🍳 fried egg
🥗 salad, bowl of salad
🍿 popcorn
🍙 rice ball, onigiri
🍜 ramen, bowl of noodles
🍝 spaghetti, pasta
🍣 sushi
🥟 dumpling
🍦 ice cream, ice cream cone
🍩 donut, doughnut
🍪 cookie, biscuit
🎂 birthday cake, cake
🍰 slice of cake
🧁 cupcake, muffin
🥧 pie
🍫 chocolate bar, chocolate
🍬 candy, sweet
🍭 lollipop
🍯 honey pot, honey
🥛 glass of milk, milk
☕ coffee, cup of coffee, hot drink
🍵 tea, cup of tea
🍷 wine glass, glass of wine
🍹 cocktail, tropical drink
🍺 beer, mug of beer
🥤 soda, cup with a straw
🧊 ice cube
🥄 spoon
🌍 globe, earth, planet earth
🧭 compass
🏔️ mountain, snowy mountain
🌋 volcano
🏝️ island, desert island
🏛️ temple, classical building
🏠 house, home
🏢 office building, skyscraper
🏥 hospital
🏫 school
🏭 factory
🏰 castle
⛪ church
🗼 tower, tokyo tower
🗽 statue of liberty
⛲ fountain
⛺ tent
🎠 carousel horse
🎡 ferris wheel
🎪 circus tent
🚂 train, locomotive, steam train
🚌 bus
🚑 ambulance
🚒 fire truck, fire engine
🚓 police car
🚕 taxi, cab
🚗 car, automobile
🚚 truck, delivery truck
🚜 tractor
🏎️ race car, racing car
🏍️ motorcycle, motorbike
🛵 scooter, motor scooter
🚲 bicycle, bike
🛴 kick scooter
🛹 skateboard
🛼 roller skate
⛽ gas pump, fuel pump
🚦 traffic light
⚓ anchor
⛵ sailboat, sailing boat, boat
🛶 canoe
🚤 speedboat
🚢 ship, cruise ship
✈️ airplane, plane, aeroplane
🪂 parachute
🚁 helicopter
🛰️ satellite
🚀 rocket, spaceship
🛸 ufo, flying saucer
🧳 suitcase, luggage
⌛ hourglass
⌚ watch, wristwatch
⏰ alarm clock, clock
🌡️ thermometer
🌙 moon, crescent moon
☀️ sun
🪐 saturn, ringed planet
⭐ star
☁️ cloud
⛈️ storm cloud, thunderstorm
🌪️ tornado
🌈 rainbow
☂️ umbrella
⚡ lightning, lightning bolt
❄️ snowflake
⛄ snowman
☄️ comet
🔥 fire, flame
💧 water drop, droplet
🌊 wave, ocean wave
🎃 pumpkin, halloween pumpkin, jack-o-lantern
🎄 christmas tree
🎈 balloon
🎉 party popper
🎁 gift, present, gift box
🎀 ribbon, bow
🏆 trophy, golden cup
🏅 medal
⚽ soccer ball, football
⚾ baseball
🏀 basketball
🏐 volleyball
🏈 american football
🎾 tennis ball
🎳 bowling pins, bowling
🏓 ping pong, table tennis
🏸 badminton
🥊 boxing glove
⛸️ ice skate
🛷 sled
🎯 target, dartboard
🪁 kite
🎱 billiard ball, eight ball
🔮 crystal ball
🎮 game controller, gamepad
🕹️ joystick
🎲 dice, die
🧩 puzzle piece
🧸 teddy bear, teddy
♟️ chess pawn
🎨 paint palette, palette
🧵 spool of thread
🧶 yarn, ball of yarn
👓 glasses, eyeglasses
🕶️ sunglasses
👔 necktie, tie
👕 t-shirt, shirt
👖 jeans, trousers
🧣 scarf
🧤 gloves
🧥 coat, jacket
🧦 socks
👗 dress
👜 handbag
🎒 backpack, school bag
👟 sneaker, running shoe, shoe
👠 high heel
👢 boot
👑 crown
🎩 top hat, hat
🎓 graduation cap
🧢 baseball cap, cap
💄 lipstick
💍 ring, diamond ring
💎 diamond, gem
📣 megaphone
🔔 bell
🎵 musical note
🎤 microphone
🎧 headphones
📻 radio
🎷 saxophone
🎺 trumpet
🎸 guitar, electric guitar
🎹 piano, piano keyboard
🎻 violin
🥁 drum
📱 smartphone, phone, mobile phone
☎️ telephone
🔋 battery
💻 laptop
🖥️ computer, monitor
🖨️ printer
⌨️ keyboard
🖱️ computer mouse
💾 floppy disk
💿 cd, compact disc
🎥 movie camera, film camera
🎬 clapperboard
📺 television, tv
📷 camera
🔍 magnifying glass
🕯️ candle
💡 light bulb, lamp
🔦 flashlight, torch
🏮 lantern, paper lantern
📕 book, closed book
📖 open book
📚 books, stack of books
📜 scroll
📰 newspaper
🪙 coin
💰 money bag
✉️ envelope, letter
📦 package, cardboard box, box
📮 mailbox, postbox
✏️ pencil
🖌️ paintbrush
🖍️ crayon
💼 briefcase
📁 folder
📅 calendar
📈 chart, line chart
📋 clipboard
📌 pushpin, pin
📎 paperclip
📏 ruler
✂️ scissors
🗑️ trash can, wastebasket
🔒 padlock, lock
🔑 key
🔨 hammer
🪓 axe
🏹 bow and arrow
🛡️ shield
🪚 saw
🔧 wrench, spanner
🪛 screwdriver
⚙️ gear, cogwheel
⚖️ scales, balance scale
🧲 magnet
🪜 ladder
🧪 test tube
🔬 microscope
🔭 telescope
📡 satellite dish
💊 pill
🩺 stethoscope
🚪 door
🪞 mirror
🛏️ bed
🛋️ sofa, couch
🪑 chair
🚽 toilet
🛁 bathtub
🧹 broom
🧺 basket
🪣 bucket
🧼 soap
🪥 toothbrush
🛒 shopping cart
🗿 moai, stone head
❤️ heart
💔 broken heart
😀 smiley, smiling face, happy face
😍 heart eyes face
😂 laughing face
😢 crying face, sad face
😡 angry face
😎 cool face, face with sunglasses
😴 sleeping face
🤖 robot, robot face
👻 ghost
👽 alien
🤡 clown, clown face
💩 poop
🎅 santa claus, santa
🔵 circle
⬛ square
🔺 triangle
"""

CONCEPTS: Final[tuple[Concept, ...]] = tuple(
    Concept(
        emoji=line.split(" ", 1)[0],
        names=tuple(name.strip() for name in line.split(" ", 1)[1].split(",")),
    )
    for line in _TABLE.strip().splitlines()
)
