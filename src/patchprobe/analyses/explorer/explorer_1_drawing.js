"use strict";

/* Pictures: the image with its shading and marks, tiles of the training set, and the colours. */

/* Cividis (Nunez, Anderton, Renslow 2018, doi:10.1371/journal.pone.0199239), made for colour-blind eyes: eight even parts. */
const CIVIDIS = [
  [0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [125, 124, 120],
  [155, 148, 118], [188, 174, 108], [222, 201, 88], [254, 232, 56],
];

function colour(share) {
  const at = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return CIVIDIS[low].map((value, i) => Math.round(value + (at - low) * (CIVIDIS[low + 1][i] - value)));
}

async function decoded(bytes) {
  const picture = new Image();
  picture.src = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }));
  await picture.decode();
  return picture;
}

/* Give a canvas as many pixels as it takes on the screen; returns its context, in CSS px. */
function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  return context;
}

/* A frame that is seen on any picture: white on black; dashed where the class is another. */
function frame(context, x, y, width, height, { dashed = false, line = 2 } = {}) {
  context.save();
  context.lineJoin = "miter";
  context.strokeStyle = "#000";
  context.lineWidth = line + 2.5;
  context.strokeRect(x, y, width, height);
  context.strokeStyle = "#fff";
  context.lineWidth = line;
  if (dashed) context.setLineDash([Math.max(3, width / 5), Math.max(2.5, width / 6)]);
  context.strokeRect(x, y, width, height);
  context.restore();
}

function badge(context, x, y, text, bounds) {
  const radius = 8;
  const cx = Math.max(radius + 1, Math.min(bounds.width - radius - 1, x));
  const cy = Math.max(radius + 1, Math.min(bounds.height - radius - 1, y));
  context.save();
  context.beginPath();
  context.arc(cx, cy, radius, 0, 2 * Math.PI);
  context.fillStyle = "#000";
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = "#fff";
  context.stroke();
  context.fillStyle = "#fff";
  context.font = "700 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, cx, cy + 0.5);
  context.restore();
}

/* The image, grey under its shading; shares has how alike each patch is, 0 to 1, column after column of each row. */
function drawPicture(context, picture, width, height, grid, shares) {
  context.imageSmoothingQuality = "high";
  if (shares) context.filter = "grayscale(1)";
  context.drawImage(picture, 0, 0, width, height);
  context.filter = "none";
  if (!shares) return;
  context.globalAlpha = 0.72;
  const across = width / grid.columns;
  const down = height / grid.rows;
  for (let row = 0; row < grid.rows; row++) {
    for (let column = 0; column < grid.columns; column++) {
      const [red, green, blue] = colour(shares[row * grid.columns + column]);
      context.fillStyle = `rgb(${red} ${green} ${blue})`;
      const left = Math.round(column * across);
      const top = Math.round(row * down);
      context.fillRect(left, top, Math.round((column + 1) * across) - left, Math.round((row + 1) * down) - top);
    }
  }
  context.globalAlpha = 1;
}

/* A bar of the colours, from alike to unlike. */
function drawScale(canvas) {
  canvas.width = 128;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  for (let i = 0; i < 128; i++) {
    const [red, green, blue] = colour(1 - i / 127);
    context.fillStyle = `rgb(${red} ${green} ${blue})`;
    context.fillRect(i, 0, 1, 1);
  }
}
