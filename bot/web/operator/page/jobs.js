// The lists of jobs: those that are being painted, those that wait, and those that have ended.

import { byId, duration, element, reconcile, show, text } from "/operator/dom.js";
import { act, authorization, confirmed } from "/operator/session.js";

const TRIES = 3; // at a picture that a worker still makes smaller
const FEW = 8; // results that are shown at first

// `pictures` is whether the page shows members' pictures.
export function showJobs(state, pictures) {
  const jobs = state.jobs;
  text(byId("running-count"), jobs.delivering ? `${jobs.running}, and ${jobs.delivering} being sent` : `${jobs.running}`);
  show(byId("no-running"), !jobs.begun.length);
  reconcile(byId("running"), jobs.begun, (job) => job.id, makeRunning, (card, job) => updateRunning(card, job, pictures));
  showQueue(jobs);
  show(byId("no-ended"), !jobs.ended.length);
  reconcile(byId("ended"), jobs.ended, (job) => job.id, makeEnded, (card, job) => updateEnded(card, job, pictures, state.at));
  showResults();
}

// Shows a few results, or all of them if the operator wants so.
function showResults() {
  const rows = [...byId("ended").children];
  const all = byId("ended-all").getAttribute("aria-expanded") === "true";
  rows.forEach((row, index) => show(row, all || index < FEW));
  show(byId("ended-all"), rows.length > FEW);
  text(byId("ended-all"), all ? "Show fewer" : `Show all ${rows.length}`);
}

byId("ended-all").addEventListener("click", ({ currentTarget: button }) => {
  button.setAttribute("aria-expanded", String(button.getAttribute("aria-expanded") !== "true"));
  showResults();
});

function button(label, job, path, question, yes) {
  const click = async (event) => {
    const pressed = event.currentTarget;
    if (!question || (await confirmed(question, yes))) await act(`jobs/${job}/${path}`, pressed);
  };
  return element("button", { type: "button", "data-action": path, "aria-label": `${label} job ${job}`, on: { click } }, label);
}

const cancelButton = (job) =>
  button("Cancel", job, "cancel", `Cancel job ${job}? Its member reads that the operator cancelled it.`, "Cancel the job");
const blockButton = (job) =>
  button("Block member", job, "block", `Block the member who ordered job ${job}?`, "Block");
const retryButton = (job) => button("Retry", job, "retry");

function facts(job) {
  const parts = [job.size ? `${job.size} px` : null, job.steps ? `${job.steps} steps` : null, job.description];
  return parts.filter(Boolean).join(" · ");
}

function showQueue(jobs) {
  const oldest = jobs.oldest === null ? "" : `, the oldest for ${duration(jobs.oldest)}`;
  text(byId("queue-count"), `${jobs.queued}${oldest}`);
  show(byId("no-queue"), !jobs.waiting.length);
  reconcile(
    byId("queue"),
    jobs.waiting,
    (job) => job.id,
    (job) =>
      element(
        "li",
        { "data-job": job.id },
        element(
          "div",
          { class: "about" },
          element("p", {}, element("strong", { class: "age" }), " ", element("code", {}, job.id)),
          element("p", { class: "what" }, facts(job)),
        ),
        element("div", { class: "actions for-operators" }, cancelButton(job.id), blockButton(job.id)),
      ),
    (row, job) => text(row.querySelector(".age"), `Waits for ${duration(job.age)}`),
  );
  const more = jobs.queued - jobs.waiting.length;
  show(byId("queue-more"), more > 0);
  text(byId("queue-more"), `And ${more} newer ones.`);
}

function makeJob(job, ...actions) {
  return element(
    "li",
    { "data-job": job.id },
    element("div", { class: "picture" }),
    element("div", { class: "about" }),
    element("div", { class: "actions for-operators" }, ...actions),
  );
}

function makeRunning(job) {
  const made = makeJob(job, cancelButton(job.id), blockButton(job.id));
  made.querySelector(".about").append(
    element("p", {}, element("strong", { class: "left" }), " ", element("code", {}, job.id)),
    element("progress", { "aria-label": `Progress of job ${job.id}` }),
    element("p", { class: "step" }),
    element("p", { class: "what" }),
  );
  return made;
}

function updateRunning(card, job, pictures) {
  const progress = job.progress;
  const bar = card.querySelector("progress");
  text(card.querySelector(".what"), facts(job));
  let left = "Begins";
  const age = `${duration(job.age)} ago`;
  let step = `Ordered ${age}`;
  if (job.state === "delivering") left = "Is being sent";
  else if (!job.here) left = "Painted by another bot process, whose page shows its progress";
  if (progress && job.state !== "delivering") {
    bar.max = progress.steps;
    bar.value = progress.step;
    left = `About ${duration(progress.remaining)} left`;
    step = `Step ${progress.step} of ${progress.steps} at ${progress.scale} px on ${progress.device || "a worker"}, ordered ${age}`;
  }
  show(card.querySelector('[data-action="cancel"]'), job.state === "running");
  show(bar, Boolean(progress) && job.state !== "delivering");
  text(card.querySelector(".left"), left);
  text(card.querySelector(".step"), step);
  const preview = progress?.preview;
  showPicture(card, job, preview ? `/operator/jobs/${job.id}/preview` : null, preview, pictures && "no preview yet");
}

function makeEnded(job) {
  const made = makeJob(job, job.state === "failed" || job.state === "expired" ? retryButton(job.id) : null, blockButton(job.id));
  made.querySelector(".about").append(
    element("p", {}, element("strong", { class: "word" }), " ", element("span", { class: "when" }), " ", element("code", {}, job.id)),
    element("p", { class: "why" }),
    element("p", { class: "what" }),
  );
  return made;
}

const WORDS = { delivered: "Delivered", failed: "Failed", cancelled: "Cancelled", expired: "Expired" };
const COLOURS = { delivered: "good", failed: "bad", expired: "bad" };
const WAYS = { kept: "kept for /jobs", direct: "sent as a direct message", post: "posted as a new message" };

function updateEnded(card, job, pictures, now) {
  const word = card.querySelector(".word");
  text(word, WORDS[job.state] ?? job.state);
  word.className = `word ${COLOURS[job.state] ?? ""}`;
  const parts = [
    `${duration((now - job.ended) / 1000)} ago`,
    job.seconds !== null ? `painted in ${duration(job.seconds)}` : null,
    WAYS[job.delivered_by],
    job.retried ? "queued again" : null,
  ];
  text(card.querySelector(".when"), parts.filter(Boolean).join(" · "));
  const why = job.state !== "cancelled" && job.cause ? `${job.cause}: ${job.text}` : "";
  text(card.querySelector(".why"), why);
  show(card.querySelector(".why"), why !== "");
  text(card.querySelector(".what"), facts(job));
  const retry = card.querySelector('[data-action="retry"]');
  if (retry) show(retry, job.retry);
  showPicture(card, job, job.picture ? `/operator/jobs/${job.id}/thumbnail` : null, 1, pictures && "no picture");
}

// Shows the picture at `url`, fetched with the token. `version` is fetched once. Without a picture it says `none`, or
// that pictures are hidden.
async function showPicture(card, job, url, version, none) {
  const place = card.querySelector(".picture");
  if (!url) {
    if (!place.querySelector("img") || !none) text(place, job.spoiler ? "spoiler" : none || "picture hidden");
    return;
  }
  if (place.dataset.version === String(version) || place.dataset.fetching) return;
  place.dataset.fetching = "yes";
  try {
    const response = await fetch(url, { headers: authorization() });
    const tries = Number(place.dataset.tries ?? 0) + 1;
    place.dataset.tries = response.ok ? 0 : tries;
    if (response.ok || tries >= TRIES) place.dataset.version = String(version);
    if (!response.ok) return;
    const source = URL.createObjectURL(await response.blob());
    const image = element("img", { alt: `Picture of job ${job.id}`, src: source });
    image.addEventListener("load", () => URL.revokeObjectURL(source), { once: true });
    place.replaceChildren(image);
  } catch {
    // The next state tries again.
  } finally {
    delete place.dataset.fetching;
  }
}
