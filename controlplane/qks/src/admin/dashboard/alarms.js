// What an operator should look at, above everything else.

import { byId, element, keepChildren, setAttribute, setText } from "./dom.js";
import { duration, instant, parseInstant } from "./format.js";

/** Shows the alarms, the gravest first. `now` is the key server's clock, in milliseconds since 1970. */
export function showAlarms(alarms, now) {
    byId("alarms-panel").hidden = alarms.length === 0;
    keepChildren(byId("alarms"), alarms, ({ kind, of }) => `${kind}/${of}`, makeAlarm, (child, alarm) => {
        const since = parseInstant(alarm.since) ?? now;
        const part = (name) => child.querySelector(`[data-alarm-part="${name}"]`);
        setText(part("message"), alarm.message);
        setText(part("since"), `for ${duration(now - since)}`);
        setAttribute(part("since"), "title", `since ${instant(since)}`);
    });
}

function makeAlarm({ kind, of, advice }) {
    const part = (name, what, ...text) => element(name, { "data-alarm-part": what }, ...text);
    return element("li", { "data-alarm": kind, "data-of": of },
        element("p", { class: "who" }, element("strong", {}, NAMES[kind] ?? kind), " ", part("span", "of", of), " ", part("small", "since")),
        part("p", "message"), part("p", "advice", advice));
}

const NAMES = {
    qber: "Somebody may be listening",
    database_unavailable: "Database unavailable",
    vault_unavailable: "Vault unavailable",
    neighbour_unreachable: "Neighbour unreachable",
    source_failed: "No keys from a source",
    stock_low: "Stock low",
};
