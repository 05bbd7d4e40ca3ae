// Masks: from a gray image of class ids to coloured pixels.

/** Gives a table from class id to an RGBA pixel; classes that are off, and unknown ids, are clear. */
export function colourTable(classes, off) {
  const bytes = new Uint8ClampedArray(4 * 256);
  classes.forEach(({ colour }, id) => {
    if (!off.has(id)) bytes.set([...colour, 255], 4 * id);
  });
  return new Uint32Array(bytes.buffer);
}

/** Gives the class ids that a gray image holds, row by row. */
export function readIds(image, context) {
  const { width, height } = image;
  context.canvas.width = width;
  context.canvas.height = height;
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const ids = new Uint8Array(pixels.length);
  for (let i = 0; i < ids.length; i += 1) ids[i] = pixels[i] & 255;
  return ids;
}

/** Draws class ids in the colours of a table over what a canvas shows. */
export function drawMask(ids, table, context, { target, opacity }) {
  const { width, height } = target.canvas;
  context.canvas.width = width;
  context.canvas.height = height;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < ids.length; i += 1) pixels[i] = table[ids[i]];
  context.putImageData(image, 0, 0);
  target.globalAlpha = opacity;
  target.drawImage(context.canvas, 0, 0);
  target.globalAlpha = 1;
}

/** Adds to `counts` how many pixels each class id has. */
export function countIds(ids, counts) {
  for (let i = 0; i < ids.length; i += 1) counts[ids[i]] += 1;
}
