"use strict";

/* What all pages share: their data, and making elements. Text becomes text nodes alone, so no name is ever markup. */

async function readData() {
  const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const block = await new Response(stream).arrayBuffer();
  const length = new DataView(block).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, length)));
  const arrays = {};
  for (const [name, [offset, type, count]] of Object.entries(header.arrays)) {
    arrays[name] = joined(new Uint8Array(block, 4 + length + offset), type, count);
  }
  return { header, arrays };
}

/* The bytes of each value lie apart; browsers run on little-endian machines alone. */
function joined(source, type, count) {
  const size = Number(type[1]);
  const bytes = new Uint8Array(count * size);
  for (let place = 0; place < size; place++) {
    for (let i = 0; i < count; i++) bytes[i * size + place] = source[place * count + i];
  }
  const kinds = { u1: Uint8Array, i1: Int8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };
  return new kinds[type](bytes.buffer);
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function byId(id) {
  return document.getElementById(id);
}

/* Four digits, as they are read best. */
function written(value) {
  if (!Number.isFinite(value)) return "";
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 0.001 && size < 1e6 ? String(Number(value.toPrecision(4))) : value.toExponential(3);
}

function start(run) {
  if (typeof DecompressionStream === "undefined") {
    byId("status").textContent = "This page needs a browser of 2023 or later.";
    return;
  }
  readData().then(run).catch((error) => {
    byId("status").textContent = `This page cannot be shown: ${error.message}`;
    throw error;
  });
}
