"""The classes a class-aware segmenter tells apart, and which of them an event's category asks for."""

from __future__ import annotations

import re

CLASSES = ("background", "person", "upper", "lower", "full-body", "outerwear", "footwear", "accessory")
BACKGROUND, PERSON, UPPER, LOWER, FULL_BODY, OUTERWEAR, FOOTWEAR, ACCESSORY = range(len(CLASSES))
GARMENTS = (UPPER, LOWER, FULL_BODY, OUTERWEAR, FOOTWEAR, ACCESSORY)

# What a category's words say. The last word of a category counts first ("shirt dress" is a dress), then the others from the right.
_WORDS: dict[int, str] = {
    UPPER: (
        "upper top tops tshirt tee shirt longsleeve polo blouse sweater jumper pullover hoodie sweatshirt tank camisole tunic "
        "undershirt singlet henley turtleneck knitwear bra"
    ),
    LOWER: (
        "lower bottom trouser pant jean jeans short shorts skirt legging jogger chino slack culotte tight tights stocking capri sweatpant"
    ),
    FULL_BODY: "dress gown jumpsuit romper overall dungaree body bodysuit onesie playsuit suit swimsuit swimwear fullbody",
    OUTERWEAR: "outerwear outwear jacket coat blazer cardigan vest gilet parka anorak cape poncho waistcoat windbreaker raincoat",
    FOOTWEAR: "footwear shoe shoes boot sneaker trainer sandal heel pump loafer flat clog slipper wedge sock",
    ACCESSORY: (
        "accessory bag handbag purse backpack hat cap beanie scarf belt glove tie wallet jewellery jewelry necklace bracelet watch "
        "glasses sunglasses earring ring"
    ),
}
_CLASS_OF = {word: number for number, words in _WORDS.items() for word in words.split()}


def class_of_category(category: str | None) -> int | None:
    """The class a category asks for, whatever its case, hyphens and plural; None where it says nothing of a garment."""
    if not category:
        return None
    # "t-shirt", "T Shirt" and "tshirt" are one word, and so are "long sleeve" and "full body".
    text = re.sub(r"\b(t|long|full|body|sweat|jump|tank)[\s_-]+(?=[a-z])", r"\1", category.strip().lower())
    for word in reversed(re.findall(r"[a-z]+", text)):
        for form in _forms(word):
            if form in _CLASS_OF:
                return _CLASS_OF[form]
    return None


def _forms(word: str) -> tuple[str, ...]:
    singular = [word]
    if word.endswith("ies"):
        singular.append(word[:-3] + "y")
    if word.endswith("ves"):
        singular.append(word[:-3] + "f")
    if word.endswith("es"):
        singular.append(word[:-2])
    if word.endswith("s"):
        singular.append(word[:-1])
    return tuple(singular)
