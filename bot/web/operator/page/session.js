// What the operator may do: the token, and the requests that need it.

import { byId, show, text } from "/operator/dom.js";

const STORED = "atelier operator token"; // in sessionStorage: gone with the tab

const SHOWN_FOR = 10_000; // milliseconds

export let token = sessionStorage.getItem(STORED) ?? "";

export function remember(entered) {
  token = entered;
  sessionStorage.setItem(STORED, token);
}

export function forget() {
  token = "";
  sessionStorage.removeItem(STORED);
}

export const authorization = () => (token ? { Authorization: `Bearer ${token}` } : {});

let fading;

// Says what happened. What went well needs no answer, and leaves by itself.
export function notify(words, kind = "") {
  clearTimeout(fading);
  if (kind === "good") fading = setTimeout(notify, SHOWN_FOR, "");
  const notice = byId("notice");
  text(notice, words);
  notice.className = `notice ${kind}`;
  show(notice, words !== "");
}

export async function act(path, button) {
  if (button) button.disabled = true;
  try {
    const response = await fetch(`/operator/${path}`, { method: "POST", headers: authorization() });
    const answer = await response.text();
    const json = response.headers.get("Content-Type")?.startsWith("application/json");
    notify(json ? JSON.parse(answer).text : answer, response.ok ? "good" : "bad");
  } catch {
    notify("The bot does not answer. Try again when the page is live.", "bad");
  } finally {
    if (button) button.disabled = false;
  }
}

// Asks before what can't be undone or what a member notices. Resolves to whether the operator agrees.
export function confirmed(question, yes) {
  const dialog = byId("confirm");
  text(byId("question"), question);
  text(byId("yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
