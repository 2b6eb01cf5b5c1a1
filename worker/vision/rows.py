"""A model is a row: where its file comes from, what it must hash to, how photos go in and what comes out."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from worker.vision.garment_classes import CLASSES

ModelId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Task = Literal["segment", "embed", "tag"]
Triple = tuple[float, float, float]


class RowPart(BaseModel):
    """Base of a row and its parts: immutable, and a misspelt name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputSpec(RowPart):
    """How a photo (segment) or a crop (embed, tag) becomes the model's input.

    The pixels, RGB 0..255, are resized to (`height`, `width`), multiplied by 1/255 (`unit`), divided by the photo's own
    brightest value (`photo-max`, what U²-Net was trained with) or left as they are (`byte`); then `mean` is subtracted and the
    result divided by `std`. A uint8 input takes the bytes as they are.
    """

    image: str = Field(description="Name of the graph's image input.")
    mask: str | None = Field(default=None, description="Name of the mask input (uint8, batch x height x width), if it has one.")
    height: int = Field(ge=16, le=4096)
    width: int = Field(ge=16, le=4096)
    layout: Literal["nchw", "nhwc"] = "nchw"
    dtype: Literal["float32", "uint8"] = "float32"
    range: Literal["unit", "photo-max", "byte"] = "unit"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    resize: Literal["stretch", "letterbox"] = "stretch"

    @model_validator(mode="after")
    def _bytes_are_not_normalised(self) -> Self:
        if self.dtype == "uint8" and (self.range, self.mean, self.std) != ("byte", (0, 0, 0), (1, 1, 1)):
            raise ValueError("a uint8 input takes bytes: range must be `byte`, without mean and std")
        if min(self.std) <= 0:
            raise ValueError("std must be above 0")
        return self


class OutputSpec(RowPart):
    """What is read from the graph.

    A segmenter's output is (batch, channels, h, w) or (batch, h, w); `channels` are those that mean garment, added up after
    `activation`. An embedder's output is (batch, `dimension`), and so is a tagger's: probabilities, head after head.
    """

    name: str
    dimension: int | None = Field(default=None, ge=1, le=65_536)
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    channels: tuple[int, ...] = (0,)
    classes: tuple[str, ...] | None = Field(
        default=None, description="Of a segmenter: what each channel is; None: it knows no classes."
    )

    @model_validator(mode="after")
    def _classes_are_known(self) -> Self:
        if self.classes is not None and self.classes != CLASSES:
            raise ValueError(f"classes must be {', '.join(CLASSES)}, in this order")
        if self.classes is not None and self.activation != "softmax":
            raise ValueError("a segmenter with classes needs activation `softmax`")
        return self


class HeadSpec(RowPart):
    """One thing a tagger says of a garment: probabilities of `labels`, which add up to 1."""

    name: str
    labels: tuple[str, ...] = Field(min_length=2)
    attribute: Literal["gender", "category"] | None = Field(
        default=None, description="The event's attribute that it is about, if it is about one."
    )
    values: tuple[str, ...] = Field(default=(), description="What the attribute is set to, for each label; empty: the label.")
    words: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Other words for labels or values, as in footwear = Heels, Flats."
    )
    sure: float = Field(
        default=1.0, gt=0, le=1, description="Probability from which what it says is taken for true; measured on held-out photos."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"head {self.name}: two labels are the same")
        if self.values and len(self.values) != len(self.labels):
            raise ValueError(f"head {self.name}: {len(self.values)} values for {len(self.labels)} labels")
        known = {*self.labels, *self.values}
        if unknown := sorted({label for labels in self.words.values() for label in labels} - known):
            raise ValueError(f"head {self.name}: words mean {', '.join(unknown)}, which is no label")
        return self


class ModelRow(RowPart):
    """One model. `kind` `onnx` has a file; `grabcut` and `none` are segmenters made of code alone.

    `source` is one of: ``package:NAME`` (a file in this package's models folder), ``file:PATH``, ``s3://BUCKET/KEY``,
    ``https://...`` or ``pypi:NAME==VERSION!PATH/IN/WHEEL``.
    """

    id: ModelId
    task: Task
    kind: Literal["onnx", "grabcut", "none"] = "onnx"
    default: bool = Field(default=False, description="The row that the setting `default` means; one for each task.")
    source: str | None = None
    sha256: Sha256 | None = None
    size: int | None = Field(default=None, ge=1, description="Bytes.")
    licence: str = Field(description="SPDX expression, or `unknown`.")
    notice: str = Field(default="", description="Whose work it is, and what must be said with it.")
    card: str = Field(default="", description="Data, recipe, metrics and limits, for people.")
    opset: int | None = Field(default=None, ge=7)
    input: InputSpec | None = None
    output: OutputSpec | None = None
    heads: tuple[HeadSpec, ...] = Field(default=(), description="Of a tagger, in the order of its output.")
    cpu_max_batch: int = Field(default=16, ge=1, description="Largest batch that is worth it on a CPU; measured.")
    fp16: bool = Field(default=True, description="Whether half precision keeps the results (on a GPU).")
    fp16_keep: tuple[str, ...] = Field(default=(), description="Prefixes of names of nodes that stay in full precision.")

    def identity(self) -> dict[str, Any]:
        """Everything that decides what the model gives, as JSON values; cards, notices and where its file comes from do not.

        A field that came after the first release is left out where it says nothing: a catalogue must not be indexed anew, nor a cache
        emptied, because rows learned to say more.
        """
        content = self.model_dump(mode="json", include={"id", "kind", "sha256", "input", "output"})
        if content["output"] is not None and content["output"]["classes"] is None:
            del content["output"]["classes"]
        return content

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "onnx":
            missing = [name for name in ("source", "sha256", "size", "input", "output") if getattr(self, name) is None]
            if missing:
                raise ValueError(f"an onnx row needs {', '.join(missing)}")
            if self.task == "embed" and self.output is not None and self.output.dimension is None:
                raise ValueError("an embedder needs output.dimension")
            if self.task == "segment" and self.input is not None and self.input.mask is not None:
                raise ValueError("a segmenter takes no mask")
            if self.task == "tag" and self.input is not None and self.input.mask is not None:
                raise ValueError("a tagger takes no mask")
        elif self.task != "segment":
            raise ValueError(f"{self.kind} is a segmenter, not {'an embedder' if self.task == 'embed' else 'a tagger'}")
        numbers = sum(len(head.labels) for head in self.heads)
        if self.task == "tag" and (not self.heads or self.output is None or self.output.dimension != numbers):
            raise ValueError(f"a tagger needs heads, and output.dimension to be the number of their labels ({numbers})")
        if self.task != "tag" and self.heads:
            raise ValueError("only a tagger has heads")
        return self
