// Masks: from a gray image of class ids to colored pixels.

/** Return a table from class id to RGBA pixel; hidden classes and unknown ids are transparent. */
export function colorTable(classes, hidden) {
  const bytes = new Uint8ClampedArray(4 * 256);
  classes.forEach(({ colour: color }, id) => {
    if (!hidden.has(id)) bytes.set([...color, 255], 4 * id);
  });
  return new Uint32Array(bytes.buffer);
}

/** Return the class ids in a gray image, row by row. */
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

/** Draw class ids in the colors of a table over the target canvas. */
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

/** Add the number of pixels of each class id to `counts`. */
export function countIds(ids, counts) {
  for (let i = 0; i < ids.length; i += 1) counts[ids[i]] += 1;
}
