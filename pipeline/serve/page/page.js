// Sends an image, or each frame of a clip, to /segment, and draws the mask over it.

const byId = (id) => document.getElementById(id);
const canvas = byId("canvas");
const context = canvas.getContext("2d");
const TOKEN = "icstream-token";
const MAX_TRIES = 20;
const STAGES = { wait: "Waiting", unpack: "Unpacking", network: "Network", encode: "Encoding" };

let models = {};
let shown = null; // { image, mask } on the canvas
let current = 0; // number of the newest file; work on earlier ones ends

function showMessage(text, failed = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("failed", failed);
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function request(path, options = {}) {
  for (let tries = 1; ; tries += 1) {
    const headers = { ...authorization(), ...options.headers };
    const response = await fetch(path, { ...options, headers });
    const wait = Number(response.headers.get("Retry-After"));
    if (response.ok) return response;
    if (response.status === 503 && wait > 0 && tries < MAX_TRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * wait));
      continue;
    }
    if (response.status === 401) byId("access").open = true;
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail || `The service answered ${response.status}`);
  }
}

async function segment(blob) {
  const begun = performance.now();
  const type = blob.type.startsWith("image/") ? blob.type : "application/octet-stream";
  const response = await request(`segment?model=${encodeURIComponent(byId("model").value)}`, {
    method: "POST",
    body: blob,
    headers: { Accept: "image/png", "Content-Type": type },
  });
  const file = await response.blob();
  return {
    file,
    mask: await createImageBitmap(file),
    shares: sharesIn(response.headers.get("Class-Shares")),
    times: timesIn(response.headers.get("Server-Timing")),
    total: performance.now() - begun,
  };
}

function sharesIn(header) {
  return (header || "").split(",").flatMap((part) => {
    const match = /^\s*c(\d+)=([\d.]+)\s*$/.exec(part);
    return match ? [{ id: Number(match[1]), share: Number(match[2]) }] : [];
  });
}

function timesIn(header) {
  return [...(header || "").matchAll(/(\w+);dur=([\d.]+)/g)].map((m) => [m[1], Number(m[2])]);
}

function draw() {
  if (!shown) return;
  const { image, mask } = shown;
  if (canvas.width !== mask.width || canvas.height !== mask.height) {
    canvas.width = mask.width;
    canvas.height = mask.height;
  }
  context.globalAlpha = 1;
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = image ? byId("opacity").value / 100 : 1;
  context.drawImage(mask, 0, 0);
}

function show(image, result) {
  shown = { image, mask: result.mask };
  byId("stage").hidden = false;
  draw();
  showLegend(result.shares);
  showTimes(result);
  URL.revokeObjectURL(byId("save").href);
  byId("save").href = URL.createObjectURL(result.file);
  byId("save").hidden = false;
}

function showLegend(shares) {
  const classes = models[byId("model").value]?.classes || [];
  const rows = shares.sort((a, b) => b.share - a.share).map(({ id, share }) => {
    const { name, colour: color } = classes[id] || { name: `class ${id}`, colour: "#000000" };
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = color;
    head.append(swatch, name);
    const cell = document.createElement("td");
    cell.className = "number";
    cell.textContent = `${(100 * share).toFixed(1)} %`;
    row.append(head, cell);
    return row;
  });
  byId("legend").tBodies[0].replaceChildren(...rows);
  byId("legend").hidden = false;
}

function showTimes(result) {
  const lines = result.times.map(([name, ms]) => [STAGES[name] || name, ms]);
  const parts = [...lines, ["Total, with the transfer", result.total]];
  byId("times").replaceChildren(...parts.flatMap(([name, ms]) => {
    const term = document.createElement("dt");
    const value = document.createElement("dd");
    term.textContent = name;
    value.textContent = `${ms.toFixed(0)} ms`;
    return [term, value];
  }));
  byId("times").hidden = false;
}

async function showImage(file, mine) {
  showMessage("Segmenting");
  const [image, result] = await Promise.all([
    createImageBitmap(file).catch(() => null), // a format that this browser cannot show
    segment(file),
  ]);
  if (mine !== current) return;
  show(image, result);
  showMessage(`${file.name}: ${result.mask.width} × ${result.mask.height}`);
}

async function showClip(file, mine) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.src = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      video.oncanplay = resolve;
      video.onerror = () => reject(new Error("This browser cannot play the clip"));
    });
    byId("stop").hidden = false;
    const frame = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const begun = performance.now();
    let count = 0;
    await video.play();
    do {
      frame.getContext("2d").drawImage(video, 0, 0);
      const image = await createImageBitmap(frame);
      const blob = await frame.convertToBlob({ type: "image/jpeg", quality: 0.95 });
      const result = await segment(blob);
      if (mine !== current) return;
      show(image, result);
      count += 1;
      const rate = (1000 * count) / (performance.now() - begun);
      showMessage(`${file.name}: ${count} frames, ${rate.toFixed(1)} frames/s`);
    } while (!video.ended);
  } finally {
    video.pause();
    URL.revokeObjectURL(video.src);
    if (mine === current) byId("stop").hidden = true;
  }
}

async function open(file) {
  if (!file) return;
  current += 1;
  const mine = current;
  byId("stop").hidden = true;
  try {
    await (file.type.startsWith("video/") ? showClip(file, mine) : showImage(file, mine));
  } catch (error) {
    if (mine === current) showMessage(error.message, true);
  }
}

async function listModels() {
  try {
    const listed = await (await request("models")).json();
    models = listed.models;
    byId("model").replaceChildren(...Object.keys(models).map((name) => new Option(name)));
    byId("model").value = listed.default;
    showMessage("");
  } catch (error) {
    showMessage(error.message, true);
  }
}

byId("file").addEventListener("change", (event) => {
  open(event.target.files[0]);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const name of ["dragover", "dragleave", "drop"]) {
  byId("drop").addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") open(event.dataTransfer.files[0]);
  });
}
byId("opacity").addEventListener("input", draw);
byId("stop").addEventListener("click", () => {
  current += 1;
  byId("stop").hidden = true;
});
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value);
  listModels();
});
listModels();
