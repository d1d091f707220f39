// The panel beside the chat: what Discord saw.

/** Fills the panel and follows the events that concern it. */
export function mountPanel(live, aside) {}
