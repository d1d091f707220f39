// Line plots of the last hour, as SVG.

import { duration, element, precise } from "/operator/dom.js";

const LEAST_WIDTH = 240;
const HEIGHT = 120;
const LEFT = 52;
const RIGHT = 6;
const TOP = 8;
const BOTTOM = 20;
const LONGEST = 3600 * 1000;
const SHORTEST = 300 * 1000;
const GAP = 30 * 1000; // milliseconds without a value that interrupt a line
const MOST_SERIES = 4;

function shape(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// `series` is a list of [label, [[at, seconds], …]], with `at` in milliseconds since 1970.
export function plot(place, title, series, now) {
  const all = series.filter(([, points]) => points.length);
  const shown = all.slice(-MOST_SERIES);
  if (!shown.length) {
    place.replaceChildren(element("p", { class: "empty" }, "Nothing was measured yet."));
    return;
  }
  const first = Math.min(...shown.map(([, points]) => points[0][0]));
  const width = Math.max(LEAST_WIDTH, place.clientWidth); // so that text has its own size
  const span = Math.min(LONGEST, Math.max(SHORTEST, now - first));
  const most = ceiling(Math.max(...shown.flatMap(([, points]) => points.map(([, value]) => value))));
  const x = (at) => LEFT + (width - LEFT - RIGHT) * Math.max(0, 1 - (now - at) / span);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const drawing = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img" });
  drawing.setAttribute("aria-label", `${title}. ${shown.map(([label, points]) => summary(label, points)).join(". ")}`);
  for (const part of [0, 0.5, 1]) {
    const at = y(most * part);
    drawing.append(shape("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
    drawing.append(shape("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, part ? precise(most * part) : "0"));
  }
  for (const [part, anchor] of [[1, "start"], [0.5, "middle"], [0, "end"]]) {
    const seconds = (span * part) / 1000;
    const words = part ? `${duration(seconds < 600 ? seconds : Math.round(seconds / 60) * 60)} ago` : "now";
    drawing.append(shape("text", { x: x(now - span * part), y: HEIGHT - 5, "text-anchor": anchor }, words));
  }
  shown.forEach(([, points], index) => {
    for (const line of unbroken(points)) {
      if (line.length === 1) {
        drawing.append(shape("circle", { class: `series-${index}`, cx: x(line[0][0]), cy: y(line[0][1]), r: 1 }));
        continue;
      }
      const at = line.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
      const [start, end] = [x(line[0][0]), x(line.at(-1)[0])].map((edge) => `${edge.toFixed(1)},${y(0)}`);
      drawing.append(shape("polygon", { class: `series-${index}`, points: `${start} ${at} ${end}` }));
      drawing.append(shape("polyline", { class: `series-${index}`, points: at }));
    }
  });
  const legend = element("div", { class: "legend" });
  shown.forEach(([label, points], index) => {
    const { last, range } = extent(points);
    const words = [label && `${label}: `, element("strong", {}, last), ` last${range && `, ${range}`}`];
    legend.append(element("span", {}, element("i", { class: `series-${index}` }), ...words));
  });
  if (all.length > shown.length) legend.append(element("span", {}, `and ${all.length - shown.length} older`));
  place.replaceChildren(drawing, legend);
}

function summary(label, points) {
  const { last, range } = extent(points);
  return [`${label ? `${label}: ` : ""}last ${last}`, range].filter(Boolean).join(", ");
}

function extent(points) {
  const values = points.map(([, value]) => value);
  const [least, most] = [Math.min(...values), Math.max(...values)].map(precise);
  return { last: precise(values.at(-1)), range: least === most ? "" : `between ${least} and ${most}` };
}

function unbroken(points) {
  const lines = [];
  for (const point of points) {
    if (!lines.length || point[0] - lines.at(-1).at(-1)[0] > GAP) lines.push([]);
    lines.at(-1).push(point);
  }
  return lines;
}

// The next of 1, 2, 5, 10, 20 … that is not smaller.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1e-3));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value) ?? 10 * power;
}
