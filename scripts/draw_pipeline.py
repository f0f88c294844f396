"""Draws ``docs/pipeline.svg``: the seven steps, what stops at each, and what each leaves behind."""

from __future__ import annotations

from pathlib import Path

STEPS = (
    ("1", "Received", "logged before any model runs", "log", "log full: refused"),
    ("2", "Judged", "prompt and input pictures", "guards", "block: refused"),
    ("3", "Generated", "n pictures, own seeds", "model", "error: nothing"),
    ("4", "Judged", "every picture, hash lists", "guards", "block: stays"),
    ("5", "Marked", "64-bit id in the pixels, read back", "watermark", "unreadable: nothing"),
    ("6", "Signed", "XMP, then C2PA manifest, read back", "manifest", "invalid: nothing"),
    ("7", "Logged", "durable, with ids of what leaves", "log", "log full: nothing"),
)
ROW, TOP, WIDTH = 62, 64, 760
FONT = "font-family='system-ui, sans-serif'"


def main() -> None:
    """Write the file."""
    height = TOP + ROW * len(STEPS) + 70
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {FONT} "
        "role='img' aria-label='Seven steps from a prompt to a picture with a receipt'>",
        f"<rect width='{WIDTH}' height='{height}' rx='10' fill='#fbfaf7'/>",
        "<text x='230' y='36' font-size='17' font-weight='600' text-anchor='middle' "
        "fill='#222'>prompt, and for an edit a picture</text>",
    ]
    for number, (index, name, what, room, stop) in enumerate(STEPS):
        y = TOP + ROW * number
        parts += [
            f"<line x1='230' y1='{y - 14}' x2='230' y2='{y}' stroke='#777' stroke-width='2'/>",
            f"<rect x='60' y='{y}' width='340' height='46' rx='8' fill='#fff' stroke='#b08d3c' "
            "stroke-width='1.5'/>",
            f"<circle cx='84' cy='{y + 23}' r='13' fill='#b08d3c'/>",
            f"<text x='84' y='{y + 28}' font-size='14' font-weight='700' text-anchor='middle' "
            f"fill='#fff'>{index}</text>",
            f"<text x='108' y='{y + 20}' font-size='15' font-weight='600' "
            f"fill='#222'>{name}</text>",
            f"<text x='108' y='{y + 37}' font-size='12.5' fill='#555'>{what}</text>",
            f"<text x='388' y='{y + 20}' font-size='11.5' text-anchor='end' "
            f"fill='#8a6d2a'>{room}</text>",
            f"<line x1='402' y1='{y + 23}' x2='500' y2='{y + 23}' stroke='#a33' "
            "stroke-width='1.5' stroke-dasharray='5 4'/>",
            f"<path d='M500 {y + 18} l9 5 l-9 5 z' fill='#a33'/>",
            f"<text x='518' y='{y + 27}' font-size='13' fill='#a33'>{stop}</text>",
        ]
    y = TOP + ROW * len(STEPS)
    parts += [
        f"<line x1='230' y1='{y - 14}' x2='230' y2='{y}' stroke='#777' stroke-width='2'/>",
        f"<rect x='60' y='{y}' width='640' height='48' rx='8' fill='#2f6b4f'/>",
        f"<text x='380' y='{y + 21}' font-size='15' font-weight='600' text-anchor='middle' "
        "fill='#fff'>picture + receipt</text>",
        f"<text x='380' y='{y + 39}' font-size='12.5' text-anchor='middle' fill='#dff0e6'>"
        "log entry, inclusion proof, signed checkpoint: anybody can check them later</text>",
        "</svg>",
    ]
    Path("docs/pipeline.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
