"""Many pictures' rows without their files, to see how the index holds up."""

import random

from webui.database import Database

WORDS = (
    "mountain lake sunset golden clouds castle portrait of a woman in red dress detailed oil painting by moonlight forest path snow island "
    "harbour sailboat pines cabin night stars dunes hills river misty morning soft light cinematic masterpiece best quality 8k sharp focus "
    "cat dog robot city street rain neon reflections wide angle macro photograph watercolor sketch ink fantasy landscape dragon knight"
).split()


def seed_index(database: Database, count: int) -> None:
    """Rows as `Gallery.save` makes them: 8 to 40 words a prompt, one in fifty starred, one in a hundred in the trash."""
    chance = random.Random(1)
    with database.write() as db:
        for number in range(count):
            prompt = ", ".join(chance.choice(WORDS) for _ in range(chance.randint(8, 40))) + f", number{number}"
            parameters = f"{prompt}\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Seed: {number}"
            db.execute(
                "INSERT INTO pictures (id, job_id, picture_index, owner, path, width, height, bytes, seed, checkpoint, prompt, "
                "negative_prompt, parameters, request, created_at, starred, trashed_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (f"{number:032x}", f"job{number // 4}", number % 4, "host", f"2026-01-{number % 28 + 1:02}/{number:05}-{number}.png", 512, 512,
                 400_000, number, "starter-landscapes", prompt, "blurry, low quality", parameters, None, 1.7e9 + number,
                 number % 50 == 0, 1.8e9 if number % 100 == 1 else None),
            )  # fmt: skip
