// The operator's page: shows what the server sends, and sends what the operator decides.

import { bytes, byId, duration, element, reconcile, show, text } from "/operator/dom.js";
import { showJobs } from "/operator/jobs.js";
import { plot } from "/operator/plot.js";
import { act, confirmed, forget, notify, remember, token } from "/operator/session.js";
import { Stream } from "/operator/stream.js";

const KEPT = 720; // samples: one hour

let hello = null;
let samples = [];
let complaint = ""; // about the token that was tried last

// --- Connection -----------------------------------------------------------------------------------------------------

const stream = new Stream(
  "/operator/events",
  {
    hello(data) {
      hello = data;
      document.body.classList.toggle("acts", hello.acts);
      show(byId("sign-in"), !hello.acts && hello.could_act);
      show(byId("controls"), hello.acts);
      show(byId("content"), true);
      showLimits(hello.limits);
    },
    history(data) {
      samples = data;
      showPlots();
    },
    sample(data) {
      samples = [...samples.slice(1 - KEPT), data];
      showPlots();
    },
    state: showState,
  },
  (status, why) => {
    const words = { live: "Live", lost: "Connection lost, trying again …", refused: "Not connected" };
    const pill = byId("connection");
    text(pill, words[status]);
    if (status !== "live") document.title = "Not connected · Atelier";
    pill.className = `pill ${status === "live" ? "good" : "bad"}`;
    if (status === "live") {
      notify(complaint, "bad");
      complaint = "";
    }
    if (status === "refused") refuse(why);
  },
);

function refuse(why) {
  const tried = token;
  forget();
  byId("token").focus();
  if (tried) {
    complaint = why;
    stream.open(""); // who may look without a token can still do so
    return;
  }
  show(byId("sign-in"), true);
  show(byId("controls"), false);
  show(byId("content"), false);
  document.body.classList.remove("acts");
  notify(complaint || why, "bad");
  complaint = "";
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  remember(byId("token").value.trim());
  byId("token").value = "";
  stream.open(token);
});

byId("sign-out").addEventListener("click", () => {
  forget();
  stream.open("");
  byId("token").focus();
});

// --- Controls --------------------------------------------------------------------------------------------------------

for (const name of ["pause", "drain", "resume"]) {
  byId(name).addEventListener("click", (event) => act(name, event.currentTarget));
}

byId("block").addEventListener("submit", async (event) => {
  event.preventDefault();
  const member = byId("member").value.trim();
  if (await confirmed(`Block member ${member}? Every command and button of theirs gets a refusal.`, "Block")) {
    await act(`members/${member}/block`);
    byId("member").value = "";
  }
});

// --- State ----------------------------------------------------------------------------------------------------------

function showState(state) {
  showParts(state);
  showWorkers(state.workers);
  showCauses(state.causes);
  showDisk(state.disk);
  if (!state.jobs) return; // the health of the database says why
  const jobs = state.jobs;
  showMode(jobs);
  showJobs(state, hello.pictures);
  showBlocked(jobs.members);
  showTitle(state);
}

// What an operator wants to know of a page in the background.
function showTitle({ parts, jobs }) {
  const ill = Object.entries(parts ?? {}).filter(([, part]) => !part.healthy).map(([name]) => name);
  const busy = [jobs.running ? `${jobs.running} painting` : "", jobs.queued ? `${jobs.queued} waiting` : ""].filter(Boolean);
  const words = ill.length ? `Not well: ${ill.join(", ")}` : busy.join(", ") || "idle";
  document.title = `${words} · Atelier`;
}

function showMode(jobs) {
  const words = [
    ...(jobs.paused ? ["Paused: no painting begins"] : []),
    ...(jobs.draining ? ["Draining: no orders are accepted"] : []),
  ];
  const mode = byId("mode");
  text(mode, words.join(". "));
  mode.className = "pill warn";
  show(mode, words.length > 0);
  byId("pause").setAttribute("aria-pressed", String(jobs.paused));
  byId("drain").setAttribute("aria-pressed", String(jobs.draining));
  byId("resume").disabled = !words.length;
}

function showParts(state) {
  const parts = state.parts ? Object.entries(state.parts) : [["health", { healthy: false, detail: "no answer" }]];
  if (!state.jobs) parts.push(["jobs", { healthy: false, detail: "the database does not answer; the lists are old" }]);
  if (state.jobs) parts.push(["bot processes", { healthy: true, detail: String(state.jobs.processes) }]);
  reconcile(
    byId("parts"),
    parts,
    ([name]) => name,
    ([name]) => element("li", { "data-part": name }, element("strong", {}, name), element("span", { class: "word" }), " ", element("span", { class: "quiet" })),
    (tile, [name, part]) => {
      const word = tile.querySelector(".word");
      const plain = name === "bot processes";
      text(word, plain ? "" : part.healthy ? "Well" : "Not well");
      word.className = `word ${part.healthy ? "good" : "bad"}`;
      tile.className = plain ? "" : part.healthy ? "good" : "bad";
      text(tile.lastElementChild, part.detail);
    },
  );
}

function showWorkers(workers) {
  const found = workers ?? [];
  text(byId("workers-count"), workers ? String(found.length) : "");
  text(byId("no-workers"), workers ? "No worker has joined." : "The scheduler does not answer.");
  show(byId("no-workers"), !found.length);
  reconcile(
    byId("workers"),
    found.map((worker, index) => ({ ...worker, index })),
    (worker) => worker.index,
    () => element("li", {}, element("span"), element("span", { class: "quiet" })),
    (row, worker) => {
      text(row.firstElementChild, `${worker.name} (${worker.device}, ${worker.precision})`);
      text(row.lastElementChild, worker.busy === null ? "idle" : `paints, about ${duration(worker.busy)} left`);
    },
  );
}

function showCauses(causes) {
  const found = causes ?? [];
  text(byId("no-causes"), causes ? "None." : "The database does not answer.");
  show(byId("no-causes"), !found.length);
  reconcile(
    byId("causes"),
    found,
    ([name]) => name,
    ([name]) => element("li", {}, element("span", {}, name), element("span")),
    (row, [, count]) => text(row.lastElementChild, String(count)),
  );
}

function showDisk(disk) {
  show(byId("no-disk"), !disk);
  for (const id of ["disk-used", "disk-meter", "disk-free"]) show(byId(id), Boolean(disk));
  if (!disk) return;
  text(byId("disk-used"), `Pictures and checkpoints: ${bytes(disk.used)} of ${bytes(hello.max_storage)}`);
  byId("disk-meter").max = hello.max_storage;
  byId("disk-meter").high = hello.max_storage * 0.9;
  byId("disk-meter").value = disk.used;
  const free = disk.free === null ? "The pictures are in an object store." : `Free: ${bytes(disk.free)}. At least ${bytes(hello.min_free)} stay free.`;
  text(byId("disk-free"), free);
}

function showLimits(limits) {
  byId("limits").replaceChildren(
    ...Object.entries(limits).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))]),
  );
}

function showBlocked(members) {
  const found = members ?? [];
  show(byId("no-blocked"), !found.length);
  reconcile(
    byId("blocked"),
    found,
    (member) => member,
    (member) => {
      const click = (event) => act(`members/${member}/unblock`, event.currentTarget);
      const unblock = element("button", { type: "button", "aria-label": `Unblock member ${member}`, on: { click } }, "Unblock");
      return element("li", {}, element("code", {}, member), unblock);
    },
    () => {},
  );
}

// --- Plots ----------------------------------------------------------------------------------------------------------

function showPlots() {
  const now = samples.length ? samples.at(-1).at : Date.now();
  const single = (name) => [["", samples.filter((each) => each[name] !== undefined).map((each) => [each.at, each[name]])]];
  const labels = new Set(samples.flatMap((each) => Object.keys(each.step ?? {})));
  const steps = [...labels].map((label) => [
    label,
    samples.filter((each) => each.step?.[label] !== undefined).map((each) => [each.at, each.step[label]]),
  ]);
  const drawn = { step: steps, gateway: single("gateway"), answer: single("answer"), lag: single("lag") };
  for (const [name, series] of Object.entries(drawn)) {
    plot(byId(`plot-${name}`), byId(`plot-${name}-title`).textContent, series, now);
  }
}

// A hidden page lets go of its connection: browsers keep only six to a server.
document.addEventListener("visibilitychange", () => (document.hidden ? stream.close() : stream.open(token)));
if (!document.hidden) stream.open(token);
