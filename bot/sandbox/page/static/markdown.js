// Discord's Markdown as elements. Everything becomes text or an element made here; nothing is parsed as HTML.
import { h } from "./dom.js";

const BLOCK = /^(#{1,3}|-#) +(.+)$|^(>>> |> ?)(.*)$|^( *)([-*]|\d+\.) +(.+)$/;
const INLINE = [
  [/^\\([^\w\s])/, ([, sign]) => sign],
  [/^``(.+?)``(?!`)|^`([^`\n]+)`/s, ([, two, one]) => h("code", {}, (two ?? one).trim() || (two ?? one))],
  [/^\*\*\*(?=\S)(.+?\S|\S)\*\*\*/s, ([, inner], names) => h("strong", {}, h("em", {}, inline(inner, names)))],
  [/^\*\*(?=\S)(.+?)\*\*(?!\*)/s, ([, inner], names) => h("strong", {}, inline(inner, names))],
  [/^__(?=\S)(.+?)__(?!_)/s, ([, inner], names) => h("u", {}, inline(inner, names))],
  [/^~~(?=\S)(.+?)~~/s, ([, inner], names) => h("s", {}, inline(inner, names))],
  [/^\|\|(.+?)\|\|/s, ([, inner], names) => spoiler(inline(inner, names))],
  [/^\*(?=\S)([^*\n]*?[^\s*])\*(?!\*)/, ([, inner], names) => h("em", {}, inline(inner, names))],
  [/^_(?=\S)([^_\n]+?)_(?!\w)/, ([, inner], names) => h("em", {}, inline(inner, names))],
  [/^\[([^\]\n]+)\]\(<?(https?:\/\/[^\s)>]+)>?(?: +"[^"]*")?\)/, ([, text, url], names) => link(url, inline(text, names))],
  [/^<(https?:\/\/[^\s>]+)>/, ([, url]) => link(url, [url])],
  [/^https?:\/\/[^\s<>]*[^\s<>.,:;"')\]!?*_~|]/, ([url]) => link(url, [url])],
  [/^<@!?(\d+)>/, ([whole, id], names) => mention(`@${names.member(id) ?? "unknown-user"}`, id, names, whole)],
  [/^<@&(\d+)>/, ([, id], names) => h("span.mention", {}, `@${names.role(id) ?? "unknown-role"}`)],
  [/^<#(\d+)>/, ([, id], names) => channel(id, names)],
  [/^<\/([^:>]+):\d+>/, ([, name], names) => command(name, names)],
  [/^<a?:(\w+):\d+>/, ([, name]) => `:${name}:`],
  [/^<t:(-?\d{1,13})(?::([tTdDfFsSR]))?>/, ([, moment, style]) => time(Number(moment), style ?? "f")],
];
// What may begin something; everything else is copied up to the next such sign.
const PLAIN = /^[^\\`*_~|[<h]+|^./s;

/** The text of a message as elements. `names` finds the names of members, roles and channels by their ids. */
export function markdown(text, names) {
  const parts = [];
  for (const [index, part] of text.split(/```/).entries()) {
    const closed = index < text.split(/```/).length - 1;
    if (index % 2 === 1 && closed) parts.push(codeBlock(part));
    else parts.push(...blocks(index % 2 === 1 ? "```" + part : part, names));
  }
  return parts;
}

function codeBlock(text) {
  const language = /^([\w+-]+)\n/.exec(text);
  return h("pre.code", { tabIndex: 0 }, h("code", {}, text.slice(language ? language[0].length : 0).replace(/^\n|\n$/g, "")));
}

function blocks(text, names) {
  const result = [];
  const lines = text.replace(/^\n|\n$/g, "").split("\n");
  let plain = [];
  const flush = () => {
    if (plain.some((line) => line.trim())) result.push(h("div.text", {}, inline(plain.join("\n"), names)));
    plain = [];
  };
  for (let at = 0; at < lines.length; at++) {
    const found = BLOCK.exec(lines[at]);
    if (!found) { plain.push(lines[at]); continue; }
    flush();
    if (found[1] === "-#") result.push(h("div.subtext", {}, inline(found[2], names)));
    else if (found[1]) result.push(h(`div.heading.level-${found[1].length}`, { role: "heading", "aria-level": String(found[1].length + 2) }, inline(found[2], names)));
    else if (found[3]) {
      const rest = found[3] === ">>> " ? [found[4], ...lines.splice(at + 1)] : [found[4]];
      while (/^> ?/.test(lines[at + 1] ?? "")) rest.push(lines.splice(at + 1, 1)[0].replace(/^> ?/, ""));
      result.push(h("blockquote", {}, blocks(rest.join("\n"), names)));
    } else {
      const ordered = /\d/.test(found[6]);
      const items = [found];
      for (let next; (next = BLOCK.exec(lines[at + 1] ?? ""))?.[6] && /\d/.test(next[6]) === ordered; at++) items.push(next);
      const list = h(ordered ? "ol" : "ul", ordered ? { start: parseInt(found[6], 10) } : {});
      for (const item of items) list.append(h(`li${item[5].length > 1 ? ".deeper" : ""}`, {}, inline(item[7], names)));
      result.push(list);
    }
  }
  flush();
  return result;
}

function inline(text, names) {
  const result = [];
  let rest = text;
  let before = "";
  next: while (rest) {
    // An underscore inside a word is no emphasis, and "h" begins a link only.
    if (!(rest[0] === "_" && /\w$/.test(before))) {
      for (const [pattern, make] of INLINE) {
        const found = pattern.exec(rest);
        if (!found) continue;
        result.push(...[make(found, names)].flat());
        before = found[0];
        rest = rest.slice(found[0].length);
        continue next;
      }
    }
    [before] = PLAIN.exec(rest);
    result.push(before);
    rest = rest.slice(before.length);
  }
  return result;
}

function link(url, children) {
  return h("a", { href: url, target: "_blank", rel: "noreferrer noopener", title: url }, children);
}

function mention(text, id, names) {
  return h(`span.mention${names.isMe(id) ? ".me" : ""}`, {}, text);
}

function channel(id, names) {
  const name = names.channel(id);
  return name ? h("a.mention", { href: `#${id}` }, `#${name}`) : h("span.mention", {}, "#unknown");
}

function command(name, names) {
  return h("button.mention", { type: "button", onclick: () => names.useCommand(name) }, `/${name}`);
}

function spoiler(children) {
  const reveal = (event) => {
    if (element.classList.contains("revealed")) return;
    if (event.type === "keydown" && !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    element.classList.add("revealed");
    element.removeAttribute("role");
    element.removeAttribute("aria-label");
    element.removeAttribute("tabindex");
  };
  const element = h("span.spoiler-text", { tabIndex: 0, role: "button", "aria-label": "Spoiler: show", onclick: reveal, onkeydown: reveal }, h("span", {}, children));
  return element;
}

const STYLES = {
  t: { timeStyle: "short" },
  T: { timeStyle: "medium" },
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "long", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
  s: { dateStyle: "short", timeStyle: "short" },
  S: { dateStyle: "short", timeStyle: "medium" },
};

function time(seconds, style) {
  const moment = new Date(seconds * 1000);
  if (Number.isNaN(moment.getTime())) return `<t:${seconds}>`;
  const full = new Intl.DateTimeFormat(undefined, STYLES.F).format(moment);
  const shown = style === "R" ? relative(seconds) : new Intl.DateTimeFormat(undefined, STYLES[style]).format(moment);
  const dataset = style === "R" ? { relative: String(seconds) } : {};
  return h("time", { dateTime: moment.toISOString(), title: full, dataset }, shown);
}

function relative(seconds) {
  const from = seconds - Date.now() / 1000;
  const format = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  for (const [unit, size] of [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(from) >= size) return format.format(Math.round(from / size), unit);
  }
  return format.format(Math.round(from), "second");
}

setInterval(() => {
  for (const element of document.querySelectorAll("time[data-relative]")) element.textContent = relative(Number(element.dataset.relative));
}, 5000);
