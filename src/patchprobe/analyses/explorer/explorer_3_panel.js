"use strict";

/* One side: a model or variant, its slider, the image with its marks, and the neighbours. */

const STEPS = { ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowRight: [0, 1] };

class Panel {
  constructor(data, side, view, changed) {
    this.data = data;
    this.side = side;
    this.view = data.views[view];
    this.stop = 0;
    this.changed = changed;
    this.select = element("select", {}, ...data.views.map((one, i) => new Option(one.name, String(i), i === view, i === view)));
    this.slider = element("input", { type: "range", min: "0", step: "1" });
    this.amount = element("output");
    this.removing = element("span", { textContent: "Removed features " });
    this.canvas = element("canvas", { tabIndex: 0, role: "application", "aria-roledescription": "picture to pick patches on" });
    this.near = element("span");
    this.far = element("span");
    this.bar = element("canvas", { "aria-hidden": "true" });
    this.scale = element("div", { className: "scale" }, this.near, this.bar, this.far);
    this.agree = element("span", { className: "soft" });
    this.cards = element("ol", { className: "cards" });
    this.places = element("ol", { className: "places" });
    this.root = element(
      "section",
      { className: "panel", "aria-label": `${side} side` },
      element(
        "div",
        { className: "controls" },
        element("label", {}, "Model or variant", this.select),
        element("label", { className: "amount" }, element("span", {}, this.removing, this.amount), this.slider),
      ),
      element("div", { className: "stage" }, this.canvas),
      this.scale,
      element("div", { className: "head" }, element("h2", { textContent: "Nearest in the training set" }), this.agree),
      this.cards,
      element("div", { className: "head" }, element("h2", { textContent: "Nearest in this image" })),
      this.places,
    );
    drawScale(this.bar);
    this.listen();
    this.setSlider();
  }

  listen() {
    this.select.addEventListener("change", () => {
      const before = this.view.stops[this.stop].removed;
      this.view = this.data.views[Number(this.select.value)];
      // As many features removed as before, or the next smaller number.
      this.stop = Math.max(0, this.view.stops.findLastIndex((stop) => stop.removed <= before));
      this.setSlider();
      this.changed();
    });
    this.slider.addEventListener("input", () => this.setStop(Number(this.slider.value)));
    this.canvas.addEventListener("click", (event) => {
      const box = this.canvas.getBoundingClientRect();
      const { columns, rows } = this.scene;
      const limit = (share, count) => Math.max(0, Math.min(count - 1e-6, share * count));
      this.canvas.focus({ preventScroll: true });
      this.changed({
        x: limit((event.clientX - box.left) / box.width, columns),
        y: limit((event.clientY - box.top) / box.height, rows),
      });
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "[" && event.key !== "]") return;
      this.setStop(this.stop + (event.key === "]" ? 1 : -1));
    });
  }

  key(event) {
    const steps = STEPS[event.key];
    const inImage = this.data.inImage(this.scene, this.view, this.stop, this.number);
    if (steps && !event.altKey && !event.ctrlKey && !event.metaKey) {
      this.move(steps);
      event.preventDefault();
    } else if (/^[1-9]$/.test(event.key) && inImage[Number(event.key) - 1]) {
      this.changed(this.data.centre(this.scene, this.view, inImage[Number(event.key) - 1].number));
    }
  }

  /* By so many rows and columns of its own grid. */
  move([rows, columns]) {
    const grid = this.data.gridOf(this.scene, this.view);
    const { row, column } = this.data.gridPlace(this.scene, this.view, this.number);
    const moved = (value, by, count) => Math.max(0, Math.min(count - 1, value + by));
    this.changed({
      x: (moved(column, columns, grid.columns) + 0.5) / this.view.columns,
      y: (moved(row, rows, grid.rows) + 0.5) / this.view.rows,
    });
  }

  setStop(stop) {
    const next = Math.max(0, Math.min(this.view.stops.length - 1, stop));
    if (next === this.stop) return;
    this.stop = next;
    this.setSlider();
    this.changed();
  }

  setSlider() {
    const { stops, features } = this.view;
    const { removed } = stops[this.stop];
    this.slider.max = String(stops.length - 1);
    this.slider.value = String(this.stop);
    this.slider.disabled = stops.length === 1;
    this.amount.textContent = stops.length === 1 ? `${features} features, as they are` : `${removed} of ${features}`;
    this.removing.textContent = stops.length === 1 ? "" : "Removed features ";
    this.slider.setAttribute("aria-valuetext", `${removed} of ${features} features removed`);
  }

  /* Show the patch at a place of a scene. */
  show(scene, picture, x, y, shaded) {
    this.scene = scene;
    this.picture = picture;
    this.number = this.data.patchAt(scene, this.view, x, y);
    this.class = this.data.classInScene(scene, this.view, this.number);
    const training = this.data.inTraining(scene, this.view, this.stop, this.number);
    const inImage = this.data.inImage(scene, this.view, this.stop, this.number);
    this.root.dataset.patch = this.number;
    this.drawScene(inImage, shaded);
    this.cards.replaceChildren(...training.map((one) => this.card(one)));
    this.places.replaceChildren(...inImage.map((one, i) => this.placeOf(one, i)));
    this.drawCards(training);
    const same = training.filter((one) => one.class === this.class).length;
    this.agree.textContent = `${same} of ${training.length} of its class`;
    this.canvas.setAttribute("aria-label", `${scene.image}, ${this.describe()}. Arrow keys move by one patch.`);
    const removed = this.view.stops[this.stop].removed;
    const said = training.map((one) => `${this.data.className(one.class)} at ${one.distance.toPrecision(4)}`).join(", ");
    return `${this.side}, ${this.view.name}, ${removed} features removed, nearest in training: ${said}.`;
  }

  describe() {
    const { row, column } = this.data.gridPlace(this.scene, this.view, this.number);
    return `${this.data.className(this.class)}, row ${row + 1}, column ${column + 1}`;
  }

  drawScene(inImage, shaded) {
    const { scene, view, data } = this;
    const most = Math.max(220, Math.min(window.innerHeight * 0.46, 520));
    const room = this.canvas.parentElement.clientWidth || 300;
    const width = Math.min(room, (most * scene.columns) / scene.rows);
    const height = (width * scene.rows) / scene.columns;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = sized(this.canvas, width, height);
    const grid = data.gridOf(scene, view);
    const shares = shaded ? data.shares(scene, view, this.stop, this.number) : null;
    drawPicture(context, this.picture, width, height, grid, shares && shares.values);
    const across = width / grid.columns;
    const down = height / grid.rows;
    const box = (number) => {
      const { row, column } = data.gridPlace(scene, view, number);
      return [column * across, row * down, across, down];
    };
    for (const one of inImage) frame(context, ...box(one.number), { dashed: one.class !== this.class, line: 1.5 });
    frame(context, ...box(this.number), { line: 3.5 });
    inImage.forEach((one, i) => {
      const [left, top, wide] = box(one.number);
      badge(context, left + wide + 3, top - 3, String(i + 1), { width, height });
    });
    this.scale.style.visibility = shares ? "visible" : "hidden";
    if (shares) {
      // The nearest is known exactly.
      const near = inImage.length ? inImage[0].distance : shares.near;
      this.near.textContent = `alike: ${near.toPrecision(3)}`;
      this.far.textContent = `unlike: ${shares.far.toPrecision(3)} or more`;
    }
  }

  card(one) {
    const same = one.class === this.class;
    const made = element(
      "li",
      { className: same ? "same" : "other", title: `${one.name}, patch ${one.patch}` },
      element("canvas", { role: "img", "aria-label": `Training tile ${one.name} with the patch framed` }),
      element("span", { className: "mark", textContent: same ? "✓ " : "≠ " }),
      element("span", { className: "name", textContent: this.data.className(one.class) }),
      element("span", { className: "hidden", textContent: same ? ", the same class," : ", another class," }),
      element("div", { className: "soft", textContent: `distance ${one.distance.toPrecision(4)}` }),
    );
    Object.assign(made.dataset, {
      tile: one.name, patch: one.patch, class: this.data.className(one.class), distance: one.distance,
    });
    return made;
  }

  drawCards(training) {
    const { side, columns } = this.data.training;
    training.forEach((one, i) => {
      const canvas = this.cards.children[i].firstChild;
      const width = canvas.clientWidth || 100;
      const context = sized(canvas, width, width);
      const left = (one.tile % columns) * side;
      const top = Math.floor(one.tile / columns) * side;
      context.imageSmoothingQuality = "high";
      context.drawImage(this.data.sheet, left, top, side, side, 0, 0, width, width);
      const across = width / this.view.columns;
      const down = width / this.view.rows;
      const row = Math.floor(one.patch / this.view.columns);
      const column = one.patch % this.view.columns;
      frame(context, column * across, row * down, across, down, { dashed: one.class !== this.class, line: 2 });
    });
  }

  placeOf(one, i) {
    const same = one.class === this.class;
    const name = this.data.className(one.class);
    const button = element(
      "button",
      { type: "button", title: "Pick this patch" },
      element("span", { className: "number", textContent: String(i + 1) }),
      element("span", { className: "mark", textContent: same ? " ✓ " : " ≠ " }),
      element("span", { className: "name", textContent: name }),
      element("span", { className: "soft", textContent: one.distance.toPrecision(4) }),
    );
    button.addEventListener("click", () => this.changed(this.data.centre(this.scene, this.view, one.number)));
    const made = element("li", { className: same ? "same" : "other" }, button);
    Object.assign(made.dataset, { number: one.number, class: name, distance: one.distance });
    return made;
  }
}
