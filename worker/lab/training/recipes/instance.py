"""Our embedder: every article its own class, told apart under phone-like views; InfoNCE against a memory of all articles.

Instance discrimination (Wu et al., "Unsupervised feature learning via non-parametric instance discrimination", 2018) with InfoNCE (van
den Oord et al. 2018): a view of an article must be nearer to what is remembered of its own article (a running mean of its views) than to
what is remembered of any other. Other real views of an article are positives; its colourways, real ones and recoloured copies, are
other articles, and batches bring them together. One pass of the network an article and step: a memory costs nothing, a second view of
each article as target would double the cost of a step, which two cores feel.
"""

# The types are checked where torch is not installed: what comes of it is Any there.
# mypy: disable-error-code="import-not-found,misc,no-any-return"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from worker.errors import ConfigurationError
from worker.lab.lite0 import fold_batch_norms
from worker.lab.training.articles import Articles, load_articles
from worker.lab.training.config import Part, RunConfig, parse
from worker.lab.training.earlier import begin_with, recipe_of
from worker.lab.training.judging import Judge, Judging
from worker.lab.training.nets.embedder import EmbedderNet
from worker.lab.training.nets.joined import JoinedNet
from worker.lab.training.nets.lite import LICENCE, LITES, NOTICE, LiteName, lite, published_weights
from worker.lab.training.recipe import Batch, Exportable, Job, Score
from worker.lab.training.views import HARD, MILD, WILD, as_crop, bare, recoloured, view
from worker.settings.vision import VisionSettings
from worker.vision.rows import InputSpec, OutputSpec
from worker.vision.types import ByteArray

CROP_SIDE = 288  # crops are kept at: views are drawn in it and then made smaller
WHITENING_CROPS = 1000
FAR = -1e4


class InstanceConfig(Part):
    """The `[recipe]` part of kind `instance`."""

    kind: Literal["instance"]
    data: Path = Field(description="Folder with luma/, venia/ and clothing/ (jpg files or images.zip; images.csv in clothing/).")
    backbone: LiteName = "efficientnet-lite0"
    side: int = Field(default=192, ge=64, le=384, description="Of the crops while training.")
    export_side: int = Field(
        default=224, ge=64, le=384, description="Of the crops in use: a little larger than while training is best."
    )
    frozen_blocks: int = Field(default=4, ge=0, le=7)
    learned: int = Field(default=384, ge=16, description="Numbers of the learned part.")
    colours: int = Field(default=128, ge=1, le=216, description="Numbers of the colour part.")
    temperature: float = Field(default=0.06, gt=0)
    head_lr: float = Field(default=3.0, gt=0, description="Learning rate of the projections, as a multiple of the network's.")
    mild: float = Field(default=0.4, ge=0, le=1, description="Share of mild views; the others are wild or hard.")
    hard: float = Field(
        default=0.0, ge=0, le=1, description="Share of views as of a bad place: light, folds and hands beyond the wild ones'."
    )
    real_views: float = Field(
        default=0.5, ge=0, le=1, description="Share of an article's queries that begin with another real view of it."
    )
    laid: int = Field(
        default=0,
        ge=0,
        description="Shots of each photo's garment on other floors, cut out by the default segmenter: real views that have its faults.",
    )
    plain: float = Field(default=0.2, ge=0, le=1, description="Share of queries shown as they are: what the catalogue will hold.")
    bare: float = Field(
        default=0.0, ge=0, le=1, description="Share of queries whose print and details are taken away: what a back may look like."
    )
    recoloured: float = Field(
        default=0.3, ge=0, le=1, description="Share of articles that have a recoloured copy: another article."
    )
    remembered: float = Field(
        default=0.6, ge=0, lt=1, description="What of an article's memory stays when a view of it was seen."
    )
    together: int = Field(
        default=4, ge=1, description="Articles that look alike (colourways; neighbours of the last epoch) in a batch together."
    )
    shop_share: float = Field(
        default=0.35, ge=0, le=1, description="Share of a batch from shops, whose articles are fewer than the phone photos."
    )
    steps: int = Field(default=100, ge=1, description="Batches of an epoch.")
    first: Path | None = Field(
        default=None,
        description="Folder of an earlier run of the same network, or its best.pt: training begins with its best weights.",
    )
    members: tuple[Path, ...] = Field(
        default=(),
        description="Folders of earlier runs, two or more, whose networks become one: their vectors side by side, brought back to the length "
        "of one (`learned` and `colours` are that one's). With run.epochs = 0 nothing more is learned.",
    )


@dataclass(frozen=True, slots=True)
class _Job:
    epoch: int
    number: int
    articles: tuple[int, ...]


class InstanceNet(nn.Module):
    """The embedder and the memory of every training article."""

    def __init__(self, embedder: EmbedderNet | JoinedNet, articles: int) -> None:
        super().__init__()
        self.embedder = embedder
        self.memory: Tensor
        self.register_buffer("memory", torch.zeros(articles, embedder.dimension))


class Instance:
    """See the module."""

    score = Score("score")

    def __init__(
        self,
        wanted: InstanceConfig,
        run: RunConfig,
        articles: Articles,
        judge: Judging,
        first: Path | None = None,
        members: Sequence[Path] = (),
    ) -> None:
        self._wanted, self._run, self._articles, self._judge = wanted, run, articles, judge
        loaded = [_member(path, wanted) for path in members]
        self._members = [told for _, told in loaded]
        embedder = JoinedNet([net for net, _ in loaded], wanted.learned, wanted.colours) if loaded else _embedder(wanted)
        sample = np.random.default_rng(run.seed).permutation(len(articles.rgb))[:WHITENING_CROPS]
        sample.sort()
        pairs = [as_crop(np.asarray(articles.rgb[at]), np.asarray(articles.mask[at]), wanted.side) for at in sample]
        embedder.fit(np.stack([rgb for rgb, _ in pairs]), np.stack([mask for _, mask in pairs]))
        self._first = begin_with(embedder, first, "embedder.") if first is not None else None
        count = len(articles.articles)
        drawn = np.random.default_rng((run.seed, count)).permutation(count)[: round(wanted.recoloured * count)]
        # Recoloured copies are articles of their own, numbered after the real ones.
        self._copied = tuple(int(at) for at in np.sort(drawn))
        self._copy_of = {original: count + number for number, original in enumerate(self._copied)}
        self._net = InstanceNet(embedder, count + len(self._copied))

    def model(self) -> nn.Module:
        """As `Recipe.model`."""
        return self._net

    def parameters(self, lr: float) -> list[dict[str, Any]]:
        """As `Recipe.parameters`: the projections are new and learn faster."""
        embedder = self._net.embedder
        return [
            {"params": list(embedder.body()), "lr": lr},
            {"params": list(embedder.heads()), "lr": lr * self._wanted.head_lr},
        ]

    def begin(self, epoch: int) -> None:
        """As `Recipe.begin`: fills the memory before the first epoch."""
        if epoch == 0:
            self._fill_memory()
        self._net.train()

    def plan(self, epoch: int) -> Sequence[Job]:
        """Batches of articles that look alike, drawn by seed and epoch; neighbours are those of the memory when the run began.

        The memory changes while an epoch runs: a plan must not depend on it, or a resumed epoch would differ.
        """
        rng = np.random.default_rng((self._run.seed, epoch))
        shops = [at for at, article in enumerate(self._articles.articles) if article.is_shop]
        phones = [at for at, article in enumerate(self._articles.articles) if not article.is_shop]
        jobs = []
        for number in range(self._wanted.steps):
            chosen: list[int] = []
            while len(chosen) < self._run.batch:
                pool = shops if shops and (not phones or rng.random() < self._wanted.shop_share) else phones
                seed = pool[int(rng.integers(len(pool)))]
                group = [seed, *self._alike(seed, rng)][: self._wanted.together]
                chosen += [at for at in group if at not in chosen]
            jobs.append(_Job(epoch, number, tuple(chosen[: self._run.batch])))
        return jobs

    def load(self, job: Job) -> Batch:
        """One view of each article: rgb, mask, and the articles' numbers."""
        job = cast("_Job", job)
        rng = np.random.default_rng((self._run.seed, job.epoch, job.number))
        views = [self._view_of(at, rng) for at in job.articles]
        rgb, mask = (np.stack([each[which] for each in views]) for which in (0, 1))
        return torch.from_numpy(rgb), torch.from_numpy(mask), torch.tensor(job.articles)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """InfoNCE of each view against the memory of its own article, of all others, and the other views of the batch."""
        rgb, mask, numbers = batch
        seen = self._net.embedder(rgb, mask).float()
        # A copy: what the memory becomes below must not change what the gradient is of.
        remembered = seen @ self._net.memory.clone().T / self._wanted.temperature
        # A view is told from other views, too: light and folds must not be what makes two alike.
        same = torch.eye(len(seen), dtype=torch.bool, device=seen.device)
        among = (seen @ seen.T / self._wanted.temperature).masked_fill(same, FAR)
        loss = nn.functional.cross_entropy(torch.cat([remembered, among], dim=1), numbers)
        with torch.no_grad():
            kept = self._wanted.remembered
            self._net.memory[numbers] = nn.functional.normalize(
                kept * self._net.memory[numbers] + (1 - kept) * seen.detach(), dim=1
            )
            right = (remembered.argmax(1) == numbers).float().mean()
        return loss, {"right": float(right), "colour_weight": float(self._net.embedder.colour_weight.detach())}

    def evaluate(self) -> dict[str, float]:
        """Held-out styles and senders, see `Judge`."""
        return self._judge.figures(self._net.embedder, self._wanted.side)

    def export(self) -> Exportable:
        """The embedder alone, at `export_side`."""
        side, wanted = self._wanted.export_side, self._wanted
        learned_at = " and ".join(str(each) for each in sorted({told["side"] for told in self._members} or {wanted.side}))
        generator = torch.Generator().manual_seed(0)
        laid = (
            f", and {wanted.laid} shots of each on other floors, cut out anew by the worker's segmenter," if wanted.laid else ""
        )
        embedder = self._net.embedder.eval()
        return Exportable(
            module=embedder,
            inputs={
                "rgb": torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8, generator=generator),
                "mask": torch.randint(0, 2, (2, side, side), generator=generator).to(torch.uint8) * 255,
            },
            task="embed",
            input=InputSpec(image="rgb", mask="mask", height=side, width=side, layout="nhwc", dtype="uint8", range="byte"),
            output=OutputSpec(name="embedding", dimension=embedder.dimension),
            licence=LICENCE,
            notice=NOTICE.format(name=wanted.backbone) + " " + self._articles.notice,
            recipe=(
                f"{wanted.backbone} (ImageNet), blocks above {wanted.frozen_blocks} trained at {learned_at} pixels by InfoNCE against a "
                f"memory of all {len(self._articles.articles)} training articles: a phone-like view must be nearest to its own article; "
                f"other real views{laid} are positives, colourways and recoloured copies other articles. Maps at two depths, GeM, "
                f"{wanted.learned} learned numbers and {wanted.colours} of a Lab histogram. Limits: two articles that differ only "
                "where neither photo looks are one to it."
                + (f" Began with an earlier run of {self._first['epochs']} epochs." if self._first else "")
                + (
                    f" It is {len(self._members)} networks{', with one frozen part' if embedder.shared else ''}: "
                    f"their vectors side by side ({', '.join(str(told['epochs']) for told in self._members)} epochs), brought back to this length."
                    if self._members
                    else ""
                )
            ),
            keep_full=("/colour/", "/project_colour/"),
        )

    def provenance(self) -> dict[str, Any]:
        """Photos and splits."""
        earlier: dict[str, Any] = {"earlier_run": self._first} if self._first else {}
        earlier |= {"members": self._members} if self._members else {}
        return {**self._articles.provenance, **earlier, "held_out": self._judge.provenance}

    def _alike(self, at: int, rng: np.random.Generator) -> list[int]:
        article = self._articles.articles[at]
        siblings = [each for each in self._articles.by_style.get(article.style, ()) if each != at]
        rng.shuffle(siblings)
        near = list(self._articles.neighbours[at])
        rng.shuffle(near)
        copy = [self._copy_of[at]] if at in self._copy_of else []
        return [*copy, *siblings[: self._wanted.together // 2], *near]

    def _photo(self, at: int, rng: np.random.Generator) -> tuple[ByteArray, ByteArray]:
        """A photo of an article: its catalogue view, or another real one."""
        count = len(self._articles.articles)
        original = at if at < count else self._copied[at - count]
        photos = self._articles.articles[original].photos
        row = photos[int(rng.integers(len(photos)))] if rng.random() < self._wanted.real_views else photos[0]
        rgb, mask = np.asarray(self._articles.rgb[row]), np.asarray(self._articles.mask[row])
        if self._wanted.bare and rng.random() < self._wanted.bare:
            # A mirrored garment has a mirrored outline.
            rgb, mask = bare(rgb, mask), np.ascontiguousarray(mask[:, ::-1])
        # A copy's colour is its own, the same in every view.
        return (rgb, mask) if at < count else (recoloured(rgb, mask, np.random.default_rng((self._run.seed, at))), mask)

    def _view_of(self, at: int, rng: np.random.Generator) -> tuple[ByteArray, ByteArray]:
        rgb, mask = self._photo(at, rng)
        if rng.random() < self._wanted.plain:
            return as_crop(rgb, mask, self._wanted.side)
        ground = np.asarray(self._articles.rgb[int(rng.integers(len(self._articles.rgb)))])
        drawn = rng.random()
        strength = MILD if drawn < self._wanted.mild else HARD if drawn < self._wanted.mild + self._wanted.hard else WILD
        return view(rgb, mask, ground, rng, self._wanted.side, strength)

    @torch.inference_mode()
    def _fill_memory(self) -> None:
        """Every article as its catalogue view is embedded before anything is learned."""
        embedder, device, side = self._net.embedder.eval(), self._net.memory.device, self._wanted.side
        for start in range(0, len(self._net.memory), 32):
            rows = range(start, min(start + 32, len(self._net.memory)))
            rng = np.random.default_rng((self._run.seed, start))
            pairs = [as_crop(*self._photo(at, rng), side) for at in rows]
            rgb, mask = (torch.from_numpy(np.stack([pair[which] for pair in pairs])).to(device) for which in (0, 1))
            with torch.autocast(device.type, dtype=torch.bfloat16):
                self._net.memory[rows.start : rows.stop] = embedder(rgb, mask).float()


def build(content: Mapping[str, Any], run: RunConfig, source: Path) -> Instance:
    """As `recipe.Builder`."""
    wanted = parse(InstanceConfig, content, f"{source} [recipe]")
    data = wanted.data if wanted.data.is_absolute() else source.parent / wanted.data
    if not data.is_dir():
        raise ConfigurationError(f"recipe.data is {data}, which is no folder; it must hold luma/, venia/ and clothing/")
    articles = load_articles(data, CROP_SIDE, "development", laid=wanted.laid)
    first = source.parent / wanted.first if wanted.first else None
    members = [source.parent / member for member in wanted.members]
    return Instance(wanted, run, articles, Judge(data, CROP_SIDE, run.seed), first, members)


def _embedder(wanted: InstanceConfig) -> EmbedderNet:
    net = lite(wanted.backbone, published_weights(wanted.backbone, VisionSettings()))
    fold_batch_norms(net)
    return EmbedderNet(net, LITES[wanted.backbone].tap, wanted.learned, wanted.colours, frozen_blocks=wanted.frozen_blocks)


def _member(run: Path, wanted: InstanceConfig) -> tuple[EmbedderNet, dict[str, Any]]:
    """A trained network, and what is known of its run."""
    theirs = parse(InstanceConfig, recipe_of(run), f"recipe.members: {run}")
    if theirs.backbone != wanted.backbone:
        raise ConfigurationError(f"recipe.members: {run} is of {theirs.backbone}, recipe.backbone is {wanted.backbone}")
    embedder = _embedder(theirs)
    return embedder, {**begin_with(embedder, run, "embedder.", "recipe.members"), "side": theirs.side}
