// The panel beside the chat: what passed between the bot and Discord, and the switches that make trouble.
import { h, fill, announce } from "./dom.js";

const SHOWN = 500; // lines
const TROUBLE = [
  ["slow_answers", "Slow answers", "2 s late"],
  ["rate_limits", "Rate limits", "429 for 30 % of the requests"],
  ["server_errors", "Server errors", "500 to 503 for 30 % of the requests"],
  ["lost_gateway", "Lost gateway", "until you switch it off"],
  ["dead_tokens", "Dead reply tokens", "on their first use after the acknowledgement"],
  ["small_uploads", "Small uploads", "256 KB for each file"],
  ["no_galleries", "Galleries refused", "in edits that upload a file"],
];
const KINDS = { all: "Everything", request: "Requests", gateway: "Gateway" };

/** Fills the panel and follows the events that concern it, while it is shown. */
export function mountPanel(live, aside) {
  const switches = new Map();
  const list = h("ol.traffic", { tabIndex: 0, "aria-label": "Requests and events, oldest first" });
  const problem = h("p.panel-problem", { role: "alert" });
  let newest = 0;

  const turn = async (name, box) => {
    problem.textContent = "";
    box.setAttribute("aria-busy", "true");
    try {
      await live.ask("trouble", { name, on: box.checked });
      announce(`${box.labels[0].firstChild.textContent}: ${box.checked ? "on" : "off"}`);
    } catch (error) {
      box.checked = !box.checked;
      problem.textContent = error.message;
    }
    box.removeAttribute("aria-busy");
  };

  const showTrouble = (on) => {
    for (const [name, box] of switches) box.checked = on.includes(name);
    document.getElementById("panel-toggle")?.classList.toggle("has-trouble", on.length > 0);
  };

  const append = (entry) => {
    if (entry.number <= newest) return; // it is in the list already
    newest = entry.number;
    const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(line(live, entry));
    while (list.childElementCount > SHOWN) list.firstElementChild.remove();
    if (follows) list.scrollTop = list.scrollHeight;
  };

  const watch = async () => {
    const on = !aside.hidden;
    try {
      const { entries, trouble } = await live.ask("watch", { on });
      if (!on) return;
      if (!entries.some((entry) => entry.number === newest)) {
        list.replaceChildren();
        newest = 0;
      }
      entries.forEach(append);
      showTrouble(trouble);
      list.scrollTop = list.scrollHeight;
    } catch {
      // The next welcome asks again.
    }
  };

  fill(
    aside,
    h("div.panel-head", {}, h("h2", {}, "What Discord saw"), h("button.panel-close", { type: "button", "aria-label": "Close the panel", onclick: () => document.getElementById("panel-toggle").click() }, "✕")),
    h("fieldset.trouble", {}, h("legend", {}, "Make trouble"), TROUBLE.map(([name, title, hint]) => {
      const box = h("input", { type: "checkbox", role: "switch", id: `trouble-${name}`, "aria-describedby": `hint-${name}`, onchange: () => turn(name, box) });
      switches.set(name, box);
      return h("div.switch", {}, box, h("label", { for: box.id }, title), h("span.trouble-hint", { id: `hint-${name}` }, hint));
    })),
    problem,
    h("div.filter", { role: "group", "aria-label": "Show" }, Object.entries(KINDS).map(([kind, title]) => h("button", {
      type: "button",
      "aria-pressed": String(kind === "all"),
      onclick: (event) => {
        for (const each of event.target.parentElement.children) each.setAttribute("aria-pressed", String(each === event.target));
        list.dataset.kind = kind;
        list.scrollTop = list.scrollHeight;
      },
    }, title))),
    list,
  );

  const { trouble, welcome } = live.handlers;
  live.handlers.traffic = (event) => append(event.entry);
  live.handlers.trouble = (event) => {
    trouble?.(event);
    showTrouble(event.on);
  };
  live.handlers.welcome = (event) => {
    welcome?.(event);
    if (!aside.hidden) watch();
  };
  // Whoever shows or hides the panel, it follows only while it is shown.
  new MutationObserver(watch).observe(aside, { attributes: true, attributeFilter: ["hidden"] });
}

/** One line. Opening it fetches the bodies. */
function line(live, entry) {
  const request = entry.kind === "request";
  const at = new Date(entry.at * 1000);
  const details = h("details", {},
    h("summary", {},
      h("time", { dateTime: at.toISOString() }, `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`),
      h("span.arrow", { role: "img", "aria-label": entry.kind === "event" ? "to the bot" : "from the bot" }, entry.kind === "event" ? "→" : "←"),
      // Without a line break after the dots.
      h("span.title", { title: entry.title }, entry.title.replace(/\d{15,}/g, (id) => `…\u2060${id.slice(-4)}`)),
      request && h(`span.status.${entry.status === null ? "cut" : `s${Math.floor(entry.status / 100)}`}`, {}, entry.status ?? "cut"),
      entry.fault && h("span.fault", {}, entry.fault.replaceAll("_", " ")),
    ),
  );
  const bodies = async () => {
    const { body, answer } = await live.ask("bodies", { number: entry.number });
    const files = entry.files === 1 ? "1 file" : `${entry.files} files`;
    return [
      request && h("p.whole-title", {}, entry.title),
      request && h("h3", {}, `Request: ${entry.sent_bytes} bytes${entry.files ? ` with ${files}` : ""}`),
      shown(body),
      request && h("h3", {}, `Answer: ${entry.answer_bytes} bytes`),
      request && shown(answer),
    ];
  };
  details.addEventListener("toggle", async () => {
    if (!details.open || details.childElementCount > 1) return;
    const part = h("div.bodies", {});
    details.append(part);
    try {
      fill(part, ...(await bodies()));
    } catch (error) {
      part.textContent = error.message;
    }
  });
  return h("li", { dataset: { kind: request ? "request" : "gateway" } }, details);
}

function shown(body) {
  if (body === null || body === undefined) return h("p.nothing", {}, "Nothing");
  return h("pre", { tabIndex: 0 }, typeof body === "string" ? body : JSON.stringify(body, null, 2));
}
