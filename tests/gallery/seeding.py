"""Many pictures' rows without their files, to see how the index holds up."""

import random

from webui.database import Database

TEXT = """
mountain lake sunset golden clouds castle portrait of a woman in red dress detailed oil painting by moonlight forest path snow island
harbour sailboat pines cabin night stars dunes hills river misty morning soft light cinematic masterpiece best quality 8k sharp focus
cat dog robot city street rain neon reflections wide angle macro photograph watercolor sketch ink fantasy landscape dragon knight
"""


def seed_index(database: Database, count: int) -> None:
    """Rows as `Gallery.save` makes them: 8 to 40 words a prompt, one in fifty starred, one in a hundred in the trash."""
    chance, words = random.Random(1), TEXT.split()
    with database.write() as db:
        for number in range(count):
            prompt = ", ".join(chance.choice(words) for _ in range(chance.randint(8, 40))) + f", number{number}"
            parameters = f"{prompt}\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Seed: {number}"
            row = {
                "id": f"{number:032x}",
                "job_id": f"job{number // 4}",
                "picture_index": number % 4,
                "owner": "host",
                "path": f"2026-01-{number % 28 + 1:02}/{number:05}-{number}.png",
                "width": 512,
                "height": 512,
                "bytes": 400_000,
                "seed": number,
                "checkpoint": "starter-landscapes",
                "prompt": prompt,
                "negative_prompt": "blurry, low quality",
                "parameters": parameters,
                "created_at": 1.7e9 + number,
                "starred": number % 50 == 0,
                "trashed_at": 1.8e9 if number % 100 == 1 else None,
            }
            db.execute(f"INSERT INTO pictures ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)
