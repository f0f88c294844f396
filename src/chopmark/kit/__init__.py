"""The ground floor: what every room may stand on, and what knows of no room.

Files and databases that survive a crash, ids, fingerprints, spans, work in the background, and the
helper by which the doors of the rooms stay cheap to import.
"""
