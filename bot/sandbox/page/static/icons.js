// The signs on buttons, drawn so that they look the same with every font.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  hash: "M9 3 7 21M17 3l-2 18M4 8.5h17M3 15.5h17",
  thread: "M5 4v7a4 4 0 0 0 4 4h10M15 11l4 4-4 4",
  forum: "M4 5h16v11H10l-5 4v-4H4zM8 9h8M8 12.5h5",
  mail: "M3 6h18v12H3zM3 7l9 6 9-6",
  at: "M16 8v5a2.5 2.5 0 0 0 5 0v-1a9 9 0 1 0-4 7.5M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM15 12a3 3 0 1 1-6 0 3 3 0 0 1 6 0z",
  close: "M5 5l14 14M19 5 5 19",
  plus: "M12 4v16M4 12h16",
  send: "M4 12 3 4l18 8-18 8 1-8zM4 12h9",
  gear: "M15 12a3 3 0 1 1-6 0 3 3 0 0 1 6 0zM12 3v3M12 18v3M3 12h3M18 12h3M5.6 5.6l2.2 2.2M16.2 16.2l2.2 2.2M5.6 18.4l2.2-2.2M16.2 7.8l2.2-2.2",
  dots: "M5 12h.01M12 12h.01M19 12h.01",
  download: "M12 3v12M7 11l5 5 5-5M4 20h16",
  outside: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  menu: "M4 6h16M4 12h16M4 18h16",
  traffic: "M4 7h13M13 3l4 4-4 4M20 17H7M11 13l-4 4 4 4",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  left: "M15 6l-6 6 6 6",
};

/** A sign by its name. The element that holds it has the words. */
export function icon(name) {
  const element = document.createElementNS(SVG, "svg");
  element.setAttribute("viewBox", "0 0 24 24");
  element.setAttribute("class", `icon icon-${name}`);
  element.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  element.append(path);
  return element;
}
