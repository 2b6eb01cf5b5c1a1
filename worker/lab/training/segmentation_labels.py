"""How the data's own labels become the classes of `worker.vision.garment_classes`."""

from __future__ import annotations

import numpy as np

from worker.vision.garment_classes import ACCESSORY, BACKGROUND, FOOTWEAR, FULL_BODY, LOWER, OUTERWEAR, PERSON, UPPER
from worker.vision.types import ByteArray

# No class is taught or judged here. `GARMENT` is a garment of which no one class can be said: taught as garment alone.
IGNORE, GARMENT = 255, 254

_STREET: dict[int, str] = {
    BACKGROUND: "null",
    PERSON: "hair skin",
    UPPER: "blouse bra hoodie jumper shirt sweater sweatshirt t-shirt top",
    LOWER: "jeans leggings panties pants shorts skirt stockings tights",
    FULL_BODY: "bodysuit dress intimate romper swimwear",
    # A cardigan and a vest are worn over another garment, which is what parts them from `UPPER`.
    OUTERWEAR: "blazer cape cardigan coat jacket vest",
    FOOTWEAR: "boots clogs flats heels loafers pumps sandals shoes sneakers socks wedges",
    ACCESSORY: (
        "accessories bag belt bracelet earrings glasses gloves hat necklace purse ring scarf sunglasses tie wallet watch"
    ),
    # A suit is labelled as one whole of jacket and trousers.
    GARMENT: "suit",
}
STREET_CLASSES = {name: number for number, names in _STREET.items() for name in names.split()}

FLAT_CLASSES = {
    "T-Shirt": UPPER,
    "Longsleeve": UPPER,
    "Polo": UPPER,
    "Shirt": UPPER,
    "Blouse": UPPER,
    "Top": UPPER,
    "Undershirt": UPPER,
    "Hoodie": UPPER,
    "Pants": LOWER,
    "Shorts": LOWER,
    "Skirt": LOWER,
    "Dress": FULL_BODY,
    "Body": FULL_BODY,
    "Outwear": OUTERWEAR,
    "Blazer": OUTERWEAR,
    "Shoes": FOOTWEAR,
    "Hat": ACCESSORY,
}


def street_table(lines: str) -> ByteArray:
    """(256,) uint8: from the numbers of a `labels.txt` ("number name" a line) to classes; numbers it does not have are ignored."""
    table = np.full(256, IGNORE, np.uint8)
    for line in lines.splitlines():
        number, _, name = line.strip().partition(" ")
        if name:
            table[int(number)] = STREET_CLASSES.get(name.strip(), IGNORE)
    return table
