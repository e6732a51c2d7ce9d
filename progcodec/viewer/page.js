"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const { frames, segments, levels } = data;
const last = frames.length - 1;
const find = id => document.getElementById(id);
const slider = find("slider"), picture = find("picture");
const number = value => value.toLocaleString("en-US");
const percent = value => value >= 0.9995 ? "100 %" :
    `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)} %`;
const colour = name => `var(--${name})`;
// by place: another hierarchy may call its levels otherwise
const levelColours = ["coarse", "intermediate", "fine"];
const made = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
};

// --- what stays as it is -------------------------------------------------------------------------

// x(i) in the track, whose thumb keeps half its width from both edges.
const share = index => last ? index / last : 0;
const inTrack = index => `calc(var(--thumb) / 2 + (100% - var(--thumb)) * ${share(index)})`;
// The place among the cuts of a size: the ends of whole parts are cuts.
const place = size => {
  const after = frames.findIndex(frame => frame.bytes >= size);
  return after < 0 ? last : after;
};

const there = segments.filter(segment => segment.start !== null && segment.start < data.bytes);
for (const segment of there) {
  const piece = made("i", { title: segment.name });
  piece.style.background = colour(segment.name);
  const end = segment.end === null ? data.bytes : Math.min(segment.end, data.bytes);
  piece.style.left = segment.start ? inTrack(place(segment.start)) : "0";
  piece.style.right = end === data.bytes ? "0" : `calc(100% - ${inTrack(place(end))})`;
  find("bar").append(piece);
}
const rest = made("i", { className: "rest" });
rest.style.right = "0";
find("bar").append(rest);

const known = Math.max(data.bytes, ...segments.map(segment => segment.end ?? 0));
const mark = made("i", { className: "mark" });
for (const segment of segments) {
  if (segment.start === null || (segment.end === null && segment.start >= data.bytes)) continue;
  const end = segment.end ?? data.bytes, got = Math.min(end, data.bytes);
  for (const [from, to, absent] of [[segment.start, got, false], [Math.max(got, segment.start),
      end, true]]) {
    if (to <= from) continue;
    const piece = made("i", { className: absent ? "absent" : "", title: segment.name });
    if (!absent) piece.style.background = colour(segment.name);
    piece.style.left = `${100 * from / known}%`;
    piece.style.width = `max(1px, ${100 * (to - from) / known}%)`;
    find("scale").append(piece);
  }
}
find("scale").append(mark);
find("absent").hidden = segments[segments.length - 1].whole;

const arrived = segments.map(segment => {
  const from = segment.start, to = segment.end;
  const dot = made("span", { className: "dot" });
  dot.style.setProperty("--colour", colour(segment.name));
  const cell = made("td");
  const extent = from === null ? "not in this file" : to === null ? `${number(from)}–?` :
      `${number(from)}–${number(to)}`;
  const part = to === null || from === null ? "" : percent((to - from) / known);
  find("parts").append(made("tr", {}, made("th", { scope: "row" }, dot, segment.name), made("td",
      {}, extent), made("td", {}, part), cell));
  return { segment, cell };
});

const rows = levels.map((level, index) => {
  const what = made("span", { className: "what" }), value = made("span", { className: "percent" });
  const fill = made("i"), tick = made("u");
  tick.style.left = `calc(${100 * data.confidence}% - 1px)`;
  const dot = made("span", { className: "dot" });
  const row = made("li", {}, made("span", { className: "level" }, dot, level), what, value,
      made("span", { className: "meter" }, fill, tick));
  row.style.setProperty("--colour", colour(levelColours[index] ?? "hyperlatent"));
  find("levels").append(row);
  return { row, what, value, fill };
});
find("answers").hidden = !levels.length;
if (levels.length) find("confidence").textContent = percent(data.confidence);

let cursor = null;
if (levels.length && last) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const x = index => (1000 * share(index)).toFixed(1), y = value => (100 - 100 * value).toFixed(2);
  const chart = svg("svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img",
    "aria-label": "How sure each level is at each cut, from 0 at the bottom to 100 % at the top" });
  chart.append(svg("line", { class: "threshold", x1: 0, x2: 1000, y1: y(data.confidence),
      y2: y(data.confidence) }));
  levels.forEach((_, level) => {
    const path = svg("path", { d: "M" + frames.map((frame, index) =>
        `${x(index)} ${y(frame.answer.path[level][1])}`).join("L") });
    path.style.stroke = colour(levelColours[level] ?? "hyperlatent");
    chart.append(path);
  });
  cursor = svg("line", { y1: 0, y2: 100 });
  chart.append(cursor);
  const label = made("span", {}, `sure from ${percent(data.confidence)}`);
  label.style.top = `${100 - 100 * data.confidence}%`;
  find("chart").append(chart, label);
  find("chart").hidden = false;
  const toPointer = event => {
    const box = chart.getBoundingClientRect();
    pause();
    show(Math.round(last * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))));
  };
  chart.parentElement.addEventListener("pointerdown", toPointer);
  chart.parentElement.addEventListener("pointermove", event =>
      { if (event.buttons) toPointer(event); });
}

// --- what moves ----------------------------------------------------------------------------------

const original = find("original");
original.hidden = !data.original;
let at = last, timer = null;

function show(index) {
  index = Math.min(last, Math.max(0, index));
  // whoever moves wants to see what changes
  if (index !== at) original.setAttribute("aria-pressed", "false");
  at = index;
  const frame = frames[at], compare = original.getAttribute("aria-pressed") === "true";
  slider.value = at;
  picture.src = compare ? data.original : frame.picture;
  picture.alt = compare ? `${data.name}, the original` :
      `${data.name}, decoded from its first ${number(frame.bytes)} bytes`;
  find("bytes").textContent = `${number(frame.bytes)} bytes`;
  find("reached").textContent = frame.reached.replace(/^hyperlatent \+ /, "").replace(/%/g, " %");
  const parts = [`${percent(frame.bytes / data.bytes)} of the file`,
      `${(8 * frame.bytes / data.pixels).toFixed(3)} bpp`];
  if (frame.psnr) parts.push(frame.psnr === "exact" ? "exact" : `PSNR ${frame.psnr}`);
  find("status").replaceChildren(...parts.flatMap((part, n) => [n ? " · " : "", made("span",
      { className: "together" }, part)]));
  const said = [`${number(frame.bytes)} bytes`, frame.reached];
  if (frame.answer) said.push(frame.answer.text);
  slider.setAttribute("aria-valuetext", said.join(", "));
  rest.style.left = inTrack(at);
  mark.style.left = `${100 * frame.bytes / known}%`;
  for (const { segment, cell } of arrived) {
    const size = segment.end === null ? null : segment.end - segment.start;
    const got = segment.start === null ? 0 : Math.max(0, Math.min(frame.bytes,
        segment.end ?? frame.bytes) - segment.start);
    cell.textContent = !got ? "–" : size === null ? number(got) : got === size ? "all" :
        `${Math.floor(100 * got / size)} %`;
    cell.parentElement.classList.toggle("whole", got > 0 && got === size);
  }
  rows.forEach(({ row, what, value, fill }, level) => {
    const [name, probability] = frame.answer.path[level];
    const sure = probability >= data.confidence;
    row.classList.toggle("unsure", !sure);
    what.textContent = sure ? name : `${name}?`;
    value.textContent = percent(probability);
    fill.style.width = `${100 * probability}%`;
  });
  if (cursor) { cursor.setAttribute("x1", 1000 * share(at)); cursor.setAttribute("x2",
      1000 * share(at)); }
  for (const button of find("jumps").children) button.setAttribute("aria-pressed",
      String(Number(button.dataset.index) === at));
}

function pause() {
  clearInterval(timer);
  timer = null;
  find("play").textContent = "▶";
  find("play").setAttribute("aria-label", "Play");
}

function play() {
  if (timer !== null) return pause();
  if (at === last) show(0);
  find("play").textContent = "❚❚";
  find("play").setAttribute("aria-label", "Pause");
  timer = setInterval(() => { show(at + 1); if (at === last) pause(); }, 350);
}

for (const segment of segments.slice(2)) {
  if (!segment.whole || segment.end > data.bytes) continue;
  const dot = made("span", { className: "dot" });
  dot.style.setProperty("--colour", colour(segment.name));
  const button = made("button", { type: "button", title: `the end of the ${segment.name} level` },
      dot, segment.name);
  button.dataset.index = place(segment.end);
  button.addEventListener("click", () => { pause(); show(Number(button.dataset.index)); });
  find("jumps").append(button);
}
slider.addEventListener("input", () => { pause(); show(Number(slider.value)); });
find("play").addEventListener("click", play);
original.addEventListener("click", () => {
  original.setAttribute("aria-pressed", String(original.getAttribute("aria-pressed") !== "true"));
  show(at);
});
document.addEventListener("keydown", event => {
  if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  pause();
  show(to);
});
show(data.opens);
// Once, from the first cut that means something to the last; not for who wants no motion.
if (data.opens < last && !matchMedia("(prefers-reduced-motion: reduce)").matches) play();
