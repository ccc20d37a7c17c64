"use strict";

/* The whole page: images, two sides, and one picked place that both share. */

start(async (unpacked) => {
  const { header, arrays } = unpacked;
  const pictures = await Promise.all(header.scenes.map((_, i) => decoded(arrays[`picture ${i}`])));
  const data = new Data(unpacked, pictures, await decoded(arrays.sheet));
  const state = { scene: 0, x: 0, y: 0, shaded: data.shaded };

  byId("title").textContent = `Explorer: ${data.dataset}`;
  document.title = `Explorer: ${data.dataset}`;
  byId("note").textContent = data.note;

  const show = () => {
    const scene = data.scenes[state.scene];
    const said = panels.map((panel) => panel.show(scene, pictures[state.scene], state.x, state.y, state.shaded));
    byId("picked").textContent = data.className(panels[0].class);
    byId("place").textContent = `of ${scene.image}`;
    byId("shade").setAttribute("aria-pressed", String(state.shaded));
    [...byId("images").children].forEach((one, i) => one.setAttribute("aria-pressed", String(i === state.scene)));
    // Neighbours are said when the hand rests, not at each of many steps.
    clearTimeout(state.speaking);
    state.speaking = setTimeout(() => {
      byId("spoken").textContent = `Picked ${panels[0].describe()}. ${said.join(" ")}`;
    }, 300);
  };
  const changed = (place) => {
    Object.assign(state, place);
    show();
  };
  const pickScene = (scene) => {
    state.scene = (scene + data.scenes.length) % data.scenes.length;
    changed(data.worthPicking(data.scenes[state.scene], data.views[0]));
  };
  const switchShading = () => {
    if (data.shaded) changed({ shaded: !state.shaded });
  };

  const other = data.views.findIndex((view) => view.tokens !== data.views[0].tokens);
  const panels = [
    new Panel(data, "Left", 0, changed),
    new Panel(data, "Right", other < 0 ? data.views.length - 1 : other, changed),
  ];
  byId("panels").append(...panels.map((panel) => panel.root));
  data.scenes.forEach((scene, i) => {
    const canvas = element("canvas", { "aria-hidden": "true" });
    const height = 44;
    const width = Math.round((height * scene.columns) / scene.rows);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    sized(canvas, width, height).drawImage(pictures[i], 0, 0, width, height);
    const button = element("button", { type: "button", title: scene.image, "aria-label": `Image ${scene.image}` }, canvas);
    button.addEventListener("click", () => pickScene(i));
    byId("images").append(button);
  });
  const signs = { ArrowLeft: ["←", "left"], ArrowUp: ["↑", "up"], ArrowDown: ["↓", "down"], ArrowRight: ["→", "right"] };
  for (const [key, [sign, name]] of Object.entries(signs)) {
    const button = element("button", { type: "button", textContent: sign, "aria-label": `Move ${name}` });
    button.addEventListener("click", () => panels[0].move(STEPS[key]));
    byId("moves").append(button);
  }
  byId("shade").hidden = !data.shaded;
  byId("shade").addEventListener("click", switchShading);
  byId("panels").addEventListener("keydown", (event) => {
    if (event.target.localName !== "canvas") return;
    if (event.key === "s") switchShading();
    if (event.key === "PageUp" || event.key === "PageDown") {
      pickScene(state.scene + (event.key === "PageDown" ? 1 : -1));
      event.preventDefault();
    }
  });
  let waiting = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(show);
  });
  pickScene(0);
  byId("status").remove();
  document.documentElement.dataset.ready = "true";
});
