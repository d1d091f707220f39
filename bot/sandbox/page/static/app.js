// Begins the page: keeps what the server told, and hands each event to the part that shows it.
import { Live } from "./live.js";
import { h, fill } from "./dom.js";

const live = new Live({ welcome: (event) => { fill(document.getElementById("channels"), ...event.channels.map((c) => h("button", { type: "button" }, c.name))); } }, () => {});
