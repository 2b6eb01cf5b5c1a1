"""What kinds of garments there are."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """What kind of garment a style is; also the event's `category` attribute."""

    TSHIRT = "t-shirt"
    LONGSLEEVE = "long-sleeve"
    POLO = "polo"
    SHIRT = "shirt"
    BLOUSE = "blouse"
    SWEATER = "sweater"
    HOODIE = "hoodie"
    JACKET = "jacket"
    COAT = "coat"
    VEST = "vest"
    DRESS = "dress"
    SKIRT = "skirt"
    TROUSERS = "trousers"
    JEANS = "jeans"
    SHORTS = "shorts"
