
"use strict";
(() => {
  const limits = document.body.dataset;
  const photoBytes = Number(limits.photoBytes), bodyBytes = Number(limits.bodyBytes), mostPhotos = Number(limits.photos);
  const drop = document.getElementById("drop"), file = document.getElementById("file");
  const status = document.getElementById("status"), error = document.getElementById("error"), result = document.getElementById("result");
  let current = null; // what stops the search in work
  let shown = []; // object URLs of the photos on the page

  const titles = {
    duplicate: "It is in the catalogue", review: "A person should look", new: "It looks new",
  };
  const flagWords = {
    "photo-blurred": "The photo is blurred", "photo-dark": "The photo is dark", "photo-overexposed": "The photo is overexposed",
    "garment-not-found": "No garment was told from its background: the whole photo was used",
    "twin-in-flight": "Another arrival that looks the same is not decided yet",
    "several-duplicates": "More than one article looks the same: two colourways, or a duplicate in the catalogue",
  };
  const problemWords = {
    "photo-format": "This is no photo the service can read. Use JPEG, PNG, WebP, HEIC or AVIF.",
    "photo-corrupt": "The photo is damaged. Take it again, or save it anew.",
    "photo-empty": "The file is empty.",
    "photo-too-small": "The photo is too small or too narrow.",
    "photo-too-many-pixels": "The photo has too many pixels.",
    "photo-too-large": "The file is too large.",
    "body-too-large": "Together the photos are too large. Send fewer, or smaller ones.",
    "photo-decoder-crashed": "The photo could not be decoded.",
    "photo-no-garment": "The photo shows nothing but one even colour. Photograph the garment again.",
    "busy": "The service is busy. Try again in a moment.",
    "unavailable": "The catalogue does not answer at the moment. Try again in a moment.",
    "time-limit": "The search took too long. Try again.",
    "body-slow": "Sending the photo took too long. Try again, or send a smaller one.",
  };

  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === true) element.setAttribute(name, ""); else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  };
  const say = (text, busy) => { status.textContent = text; status.classList.toggle("busy", Boolean(busy)); };
  const fail = (text) => { say(""); error.textContent = text; error.hidden = false; };
  const percent = (share) => share > 0.999 ? "over 99.9 %" : share < 0.001 ? "under 0.1 %" : `${(share * 100).toFixed(share > 0.1 && share < 0.9 ? 0 : 1)} %`;
  const clear = () => {
    error.hidden = true; result.hidden = true; result.replaceChildren();
    shown.forEach((url) => URL.revokeObjectURL(url)); shown = [];
  };

  const complaint = (files) => {
    if (!files.length) return "There was no photo in that.";
    if (files.length > mostPhotos) return `That are ${files.length} photos. Give at most ${mostPhotos}, all of one garment.`;
    const large = files.find((one) => one.size > photoBytes);
    if (large) return `${large.name} has ${(large.size / 1e6).toFixed(1)} MB; a photo may have ${(photoBytes / 1e6).toFixed(1)} MB.`;
    if (files.some((one) => one.size === 0)) return problemWords["photo-empty"];
    if (files.reduce((sum, one) => sum + one.size, 0) > bodyBytes) return problemWords["body-too-large"];
    return null;
  };

  // fetch() tells nothing of an upload's progress; XMLHttpRequest does.
  const post = (form, abort, onSent) => new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    abort.stop = () => request.abort();
    request.open("POST", "search?pictures=true");
    request.responseType = "json";
    request.upload.onprogress = (event) => { if (event.lengthComputable) onSent(event.loaded / event.total); };
    request.onload = () => resolve(request);
    request.onerror = () => reject(new Error("network"));
    request.onabort = () => reject(new Error("stopped"));
    request.send(form);
  });

  const ask = async (files) => {
    if (current) current.stop();
    clear();
    const wrong = complaint(files);
    if (wrong) { fail(wrong); return; }
    const mine = current = { stop: () => {} };
    const form = new FormData();
    files.forEach((one) => form.append("photo", one));
    const what = files.length > 1 ? `${files.length} photos` : "the photo";
    say(`Sending ${what} ...`, true);
    try {
      const request = await post(form, mine, (share) => {
        if (current === mine) say(share < 1 ? `Sending ${what}: ${Math.round(share * 100)} %` : "Looking for the garment and for articles like it ...", true);
      });
      if (current !== mine) return;
      const answer = request.response;
      if (request.status === 200 && answer) show(files, answer); else fail(inWords(request.status, answer));
    } catch (problem) {
      if (current === mine && problem.message !== "stopped") fail("The service cannot be reached, or it refused the photo before all of it was sent. Try again.");
    } finally {
      if (current === mine) current = null;
    }
  };

  const inWords = (code, problem) => {
    if (!problem || !problem.reason) return `The service answered with ${code} and did not say why.`;
    const words = problemWords[problem.reason];
    const which = /^photo \d+(?=:)/.exec(problem.detail || "");
    return words ? (which && mostPhotos > 1 ? `${which[0][0].toUpperCase()}${which[0].slice(1)}: ${words}` : words) : problem.detail;
  };

  const picture = (source, alternative, caption) => {
    const frame = make("div", { class: "frame" });
    const image = make("img", { src: source, alt: alternative, decoding: "async" });
    image.addEventListener("error", () => { frame.classList.add("none"); frame.replaceChildren("The picture cannot be shown here"); });
    frame.append(image);
    return make("figure", {}, frame, caption ? make("figcaption", {}, caption) : null);
  };

  const asked = (files, answer) => make("div", { class: "photos" }, ...answer.photos.map((photo, index) => {
    const url = URL.createObjectURL(files[index]); shown.push(url);
    const which = answer.photos.length > 1 ? ` ${index + 1}` : "";
    // A browser that cannot show HEIC still shows the overlay and the crop, which are JPEG.
    return make("div", { class: "one" },
      picture(url, `Photo${which} as sent`, `Photo${which}, ${photo.width} × ${photo.height}, ${photo.format.toUpperCase()}`),
      picture(photo.overlay, `Photo${which} with everything but the garment dimmed`, `Taken for the garment: ${Math.round(photo.coverage * 100)}\u00a0%`),
      picture(photo.crop, `The garment of photo${which}, cut out`, "Compared"));
  }));

  const bar = (similarity, thresholds) => {
    const at = (value) => `${Math.max(0, Math.min(1, value)) * 100}%`;
    const element = make("div", { class: "bar", "aria-hidden": "true" });
    const fill = make("i"); fill.style.width = at(similarity); element.append(fill);
    for (const value of [thresholds.review, thresholds.duplicate]) { const mark = make("b"); mark.style.left = at(value); element.append(mark); }
    return element;
  };

  const candidate = (one, answer) => {
    const { thresholds } = answer;
    const kind = one.similarity >= thresholds.duplicate ? "hit" : one.similarity >= thresholds.review ? "maybe" : "";
    const numbers = [["Similarity", one.similarity.toFixed(3)], ["Same article", percent(one.probability)]];
    if (one.margin != null) numbers.push(["Margin", one.margin.toFixed(3)]);
    numbers.push(["View", one.photo.view]);
    if (answer.photos.length > 1) numbers.push(["Your photo", String(one.photo.asked + 1)]);
    for (const [name, value] of Object.entries(one.attributes)) if (value != null) numbers.push([name[0].toUpperCase() + name.slice(1), value]);
    if (one.pending) numbers.push(["State", "not decided yet"]);
    return make("li", { class: kind },
      picture(`photo/${one.photo.point_id}`, `Catalogue photo of ${one.article_id}, view ${one.photo.view}`),
      make("div", { class: "name" }, make("span", {}, `${one.rank}.`), make("span", { class: "id" }, one.article_id)),
      bar(one.similarity, thresholds),
      make("dl", { class: "numbers" }, ...numbers.flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, value)])));
  };

  const details = (answer) => {
    const rows = [["Segmenter", answer.models.segmenter], ["Embedder", answer.models.embedder], ["Collection", answer.models.collection]];
    const narrowed = Object.entries(answer.narrowed_by).map(([name, value]) => `${name} ${value}`).join(", ");
    if (narrowed) rows.push(["Narrowed by", narrowed]);
    for (const [step, value] of Object.entries(answer.timings_ms)) rows.push([`Time, ${step}`, `${value.toFixed(1)} ms`]);
    return make("details", {}, make("summary", {}, "Models and times"),
      make("dl", {}, ...rows.flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, value)])));
  };

  const show = (files, answer) => {
    const flags = [...new Set([...answer.flags, ...answer.photos.flatMap((photo) => photo.flags)])];
    const { review, duplicate } = answer.thresholds;
    const count = answer.candidates.length;
    result.append(
      make("div", { class: `verdict ${answer.decision}` }, make("h2", {}, titles[answer.decision]), make("p", {}, answer.reason),
        flags.length ? make("ul", { class: "flags", "aria-label": "Worth knowing" }, ...flags.map((flag) => make("li", {}, flagWords[flag] || flag))) : null),
      asked(files, answer),
      make("h2", {}, count ? "Articles most like it" : "The catalogue holds no article to compare with"),
      make("ol", { class: "candidates" }, ...answer.candidates.map((one) => candidate(one, answer))));
    if (count) result.append(make("p", { class: "soft foot" }, `The marks on the bars are the thresholds: from similarity ${review.toFixed(3)} a person should look, from ${duplicate.toFixed(3)} it is taken for the article. The margin is the distance to the next.`));
    result.append(details(answer));
    result.hidden = false;
    drop.classList.add("small");
    say(`${titles[answer.decision]}. Answered in ${(answer.timings_ms.total / 1000).toFixed(2)} s.`);
    result.focus({ preventScroll: true });
  };

  const images = (list) => Array.from(list || []);
  file.addEventListener("change", () => { const chosen = images(file.files); file.value = ""; if (chosen.length) ask(chosen); });
  // The whole page takes a drop: a photo let go beside the field must not replace the page.
  let inside = 0;
  const carriesFiles = (event) => Array.from(event.dataTransfer ? event.dataTransfer.types : []).includes("Files");
  addEventListener("dragenter", (event) => { if (carriesFiles(event)) { inside += 1; drop.classList.add("over"); } });
  addEventListener("dragleave", (event) => { if (carriesFiles(event)) { inside = Math.max(0, inside - 1); if (!inside) drop.classList.remove("over"); } });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); inside = 0; drop.classList.remove("over"); if (carriesFiles(event)) ask(images(event.dataTransfer.files)); });
  addEventListener("paste", (event) => { const pasted = images(event.clipboardData && event.clipboardData.files); if (pasted.length) { event.preventDefault(); ask(pasted); } });
})();
