"""Which drawings show a weapon, by the words of those who drew them.

A drawing is a weapon, none, or neither: a kitchen knife, a tank and a knight are left out of
training and of every figure, because whether they count is a matter of view.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from training.pictures.sources import Drawn

__all__ = ["shows_weapon"]

_WEAPON: Final = re.compile(
    r"\b(guns?|handguns?|pistols?|rifles?|revolvers?|shotguns?|muskets?|carbine|uzi|ak ?47|glock|colt"
    r"|machine ?guns?|minigun|chaingun|autogun|bolter gun|firearms?|swords?|broadsword|longsword"
    r"|greatswords?|shortsword|katanas?|sabers?|sabres?|sabres|scimitar|rapier|daggers?|bayonet"
    r"|battle ?axes?|halberd|spears?|pikes?|javelins?|trident|morning ?star|maces?|grenades?|bombs?"
    r"|dynamite|missiles?|torpedo|cannons?|crossbows?|longbow|bow arrow|bow and arrow|arrow bow"
    r"|crossed swords|winchester(?: rifle)?|mp5|p90|m3 grease gun|famas|steyr aug|mac 10|desert eagle"
    r"|luger|walther|blunderbuss|flintlock|bazooka|weapons?|glaive|chakram|throwing knife"
    r"|bowie knife|butterfly knife|switchblade|shuriken|nunchaku|molotov|land ?mine|musket)\b"
)
#: Words that may stand beside a weapon, or make one of something else.
_NEITHER: Final = re.compile(
    r"(knife|knives|cutlery|blade|cleaver|axe|hatchet|sickle|scythe|machete|razor|bow\b|arrow|archer"
    r"|bullet|ammo|ammunition|cartridge|shell|explo|fire ?cracker|firework|mine\b|tank\b|army|military"
    r"|soldier|warrior|knight|samurai|ninja|pirate|viking|viper|cowboy|hunter|hunt|police|sheriff|war"
    r"|fight|battle|attack|shoot|shot|sniper|target|crosshair|aim|assassin|gladiator|duel|fencing|kill"
    r"|murder|dead|death|hammer|club\b|mace|flail|whip|staff|wand|sling|catapult|trebuchet|ballista"
    r"|siege|rocket|torpedo|turret|barrel|holster|armou?r|shield|helmet|coat ?of ?arms|heraldr|crest"
    r"|shield|armed|guard|hero|barbar|orc|elf|dwarf|demon|devil|trident|pitchfork|spike|stab|slash|cut"
    r"|harpoon|spear|lance|pike|sword|gun|pistol|rifle|bomb|grenade|missile|cannon|weapon|colt|dart"
    r"|nuclear|bandit|thug|mafia|gang|spy|agent|terror|jet|fighter|bomber|ship|submarine|plane|star ?war"
    r"|light ?saber|jedi|statue|flag|emblem|unsorted)"
)
_TOOL: Final = re.compile(
    r"(glue gun|heat gun|spray gun|nail gun|staple gun|caulk|water gun|water pistol|grease gun$|radar"
    r"|swordfish|sword ?fish|bath bomb|photobomb|gunther|sword lily|top gun|pistol shrimp|gunman"
    r"|swordman|swordwoman|person fencing|boomerang|kallisti|toothed|smithing|saber rattling|letter bomb|bomber|bombing|gun ?stock|cannon ?ball|barrel|mace ?head"
    r"|sword clash|colt$|pike$)"
)
_FOLDERS: Final = ("tools/weapons/",)


def shows_weapon(drawn: Drawn) -> bool | None:
    """Tell whether a drawing shows a weapon; ``None`` where nobody can say from its words."""
    words = drawn.words
    if drawn.kind == "photograph" or drawn.source.endswith(("wallpapers", "lxqt-themes")):
        return False
    name = words.split(" ; ")[0]
    if any(folder in drawn.name for folder in _FOLDERS):
        return None if re.search(r"knife|axe|bullet|ammo|tank|shield|armor", name) else True
    if _TOOL.search(words):
        return None
    if drawn.source == "wesnoth-1.16-data":
        return _wesnoth(name)
    title = words.split(" ; ")[1] if " ; " in words else name
    if _WEAPON.search(title):
        return None if _crowded(title) else True
    return None if _NEITHER.search(words) else False


def _crowded(title: str) -> bool:
    """Tell of a title that speaks of more than the weapon: who holds it may hide it."""
    return bool(
        re.search(
            r"(man\b|woman|boy|girl|soldier|knight|warrior|pirate|samurai|tank|ship|flag|arms"
            r"|shield|emblem|logo|ninja|cowboy|hunter|with|explo|shop|show|stand|rack)",
            title,
        )
    )


_BLADES: Final = re.compile(
    r"\b(battleaxe|sword|greatsword|longsword|bow|crossbow|dagger|spear|javelin|halberd|glaive|mace"
    r"|morning star|lance|pike|trident|saber|scimitar|rapier|thunderstick|dragonstick|blade|ballista"
    r"|chakram|baneblade|axe|hatchet)\b"
)


def _wesnoth(name: str) -> bool | None:
    """Icons of attacks are one thing each, on a dark ground."""
    if not name.startswith("attacks"):
        return (
            False
            if re.match(r"(scenery|terrain|items|misc|icons)", name) and not _NEITHER.search(name)
            else None
        )
    if _BLADES.search(name):
        return True
    if re.search(
        r"(claw|fang|fist|foot|hoof|gaze|fire|ice|light|curse|ink|tail|web|wail|magic"
        r"|entangle|kiss|shadow|wave|frenzy|touch|beak|tentacle|thorns|slam|ram|blank)",
        name,
    ):
        return False
    return None
