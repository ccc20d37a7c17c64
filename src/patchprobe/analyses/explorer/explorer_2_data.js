"use strict";

/* What the arrays say of patches. A view is a model or a variant at all stops of its slider. Places in a scene are in tiles. */

class Data {
  constructor({ header, arrays }, pictures, sheet) {
    Object.assign(this, header);
    this.arrays_ = arrays;
    this.pictures = pictures;
    this.sheet = sheet;
    let before = 0;
    for (const scene of this.scenes) {
      scene.before = before;
      before += scene.rows * scene.columns;
    }
  }

  className(id) {
    return id === this.void ? "void" : this.classes[id];
  }

  /* All patches of a scene as one grid. */
  gridOf(scene, view) {
    return { rows: scene.rows * view.rows, columns: scene.columns * view.columns };
  }

  /* The patch at a place, as its number in the scene: tile after tile, and in each row after row. */
  patchAt(scene, view, x, y) {
    const column = Math.min(scene.columns - 1, Math.floor(x));
    const row = Math.min(scene.rows - 1, Math.floor(y));
    const inner = (value, count) => Math.min(count - 1, Math.floor(value * count));
    const patch = inner(y - row, view.rows) * view.columns + inner(x - column, view.columns);
    return (row * scene.columns + column) * view.rows * view.columns + patch;
  }

  /* Row and column, in the grid of all patches of a scene. */
  gridPlace(scene, view, number) {
    const tile = Math.floor(number / (view.rows * view.columns));
    const patch = number % (view.rows * view.columns);
    return {
      row: Math.floor(tile / scene.columns) * view.rows + Math.floor(patch / view.columns),
      column: (tile % scene.columns) * view.columns + (patch % view.columns),
    };
  }

  centre(scene, view, number) {
    const { row, column } = this.gridPlace(scene, view, number);
    return { x: (column + 0.5) / view.columns, y: (row + 0.5) / view.rows };
  }

  classInScene(scene, view, number) {
    return this.arrays_[`scene ${view.rows}x${view.columns}`][scene.before * view.rows * view.columns + number];
  }

  inTraining(scene, view, stop, number) {
    return this.neighbours_(scene, view, stop, number, "train").map(({ index, distance }) => {
      const patches = view.rows * view.columns;
      const tile = Math.floor(index / patches);
      const id = this.arrays_[`training ${view.rows}x${view.columns}`][index];
      return { tile, name: this.training.tiles[tile], patch: index % patches, class: id, distance };
    });
  }

  inImage(scene, view, stop, number) {
    return this.neighbours_(scene, view, stop, number, "image").map(({ index, distance }) => (
      { number: index, class: this.classInScene(scene, view, index), distance }
    ));
  }

  neighbours_(scene, view, stop, number, where) {
    const count = view.stops[stop][where];
    const first = (scene.before * view.rows * view.columns + number) * count;
    const indices = this.arrays_[`${view.name} ${stop} ${where}`];
    const distances = this.arrays_[`${view.name} ${stop} ${where}_distance`];
    return Array.from({ length: count }, (_, i) => ({ index: indices[first + i], distance: distances[first + i] }));
  }

  /* How far each patch of a scene is from one of them, from rounded tokens. */
  distances(scene, view, stop, number) {
    const tokens = this.arrays_[`${view.tokens} tokens`];
    const step = this.arrays_[`${view.name} step`];
    const features = step.length;
    const weights = new Float64Array(features);
    for (const feature of this.arrays_[`${view.name} order`].subarray(view.stops[stop].removed)) {
      weights[feature] = step[feature] ** 2;
    }
    const patches = view.rows * view.columns;
    const first = scene.before * patches;
    const found = new Float64Array(scene.rows * scene.columns * patches);
    const own = (first + number) * features;
    for (let patch = 0; patch < found.length; patch++) {
      const other = (first + patch) * features;
      let sum = 0;
      for (let i = 0; i < features; i++) sum += weights[i] * (tokens[other + i] - tokens[own + i]) ** 2;
      found[patch] = Math.sqrt(sum);
    }
    return found;
  }

  /* How alike each patch is, 0 to 1, in the order of the grid, and the two distances that these are. */
  shares(scene, view, stop, number) {
    const distances = this.distances(scene, view, stop, number);
    const sorted = distances.filter((_, i) => i !== number).sort();
    const near = sorted.length ? sorted[0] : 0;
    const far = sorted.length ? sorted[Math.floor(0.95 * (sorted.length - 1))] : 1;
    const grid = this.gridOf(scene, view);
    const values = new Float64Array(distances.length);
    for (let patch = 0; patch < distances.length; patch++) {
      const { row, column } = this.gridPlace(scene, view, patch);
      values[row * grid.columns + column] = 1 - (distances[patch] - near) / (far - near || 1);
    }
    return { values, near, far };
  }

  /* Where to begin: amid the patches of the rarest class of a scene of which there are a few. */
  worthPicking(scene, view) {
    const members = new Map();
    for (let i = 0; i < scene.rows * scene.columns * view.rows * view.columns; i++) {
      const id = this.classInScene(scene, view, i);
      if (id !== this.void) members.set(id, [...(members.get(id) || []), i]);
    }
    const groups = [...members.values()].sort((a, b) => a.length - b.length);
    const group = groups.find((one) => one.length > 3) || groups[0] || [0];
    return this.centre(scene, view, group[Math.floor(group.length / 2)]);
  }
}
