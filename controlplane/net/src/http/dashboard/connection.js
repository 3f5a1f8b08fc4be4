// How the connection to the server is.

import { byId, setAttribute, setText } from "./dom.js";
import { duration } from "./format.js";

/** Shows a state that `Stream` tells, or that there is none any more. */
export function showConnection({ kind, why, until }) {
    setAttribute(byId("connection"), "data-connection", kind);
    setText(byId("connection"), TEXTS[kind] ?? "");
    setAttribute(byId("dashboard"), "data-stale", kind !== "live");
    const lost = byId("lost");
    // While it is being tried again nothing is known yet: the notice stays until the first sample.
    lost.hidden = kind === "live" || (kind === "connecting" && lost.hidden);
    if (kind === "waiting") {
        setText(byId("lost-what"), `The numbers below are old: ${why}.`);
        setText(byId("lost-when"), `Next attempt in ${duration(until - Date.now())}.`);
    } else {
        setText(byId("lost-when"), "Trying now …");
    }
}

const TEXTS = { live: "live", connecting: "connecting …", waiting: "connection lost" };
