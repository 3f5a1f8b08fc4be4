// The tables of packets by verdict, and of dropped packets by reason.

import { byId, element, keepChildren, setAttribute, setNumber, setText, svg } from "./dom.js";
import { bytes, rate, whole } from "./format.js";
import { countOf, VERDICT_NAMES, VERDICTS } from "./history.js";

/** Shows the counters of `sample`, and their rates if it is known what happened `since` the sample before. */
export function showTotals(sample, since) {
    const rows = [...VERDICTS, "received", "lost"];
    keepChildren(byId("totals").tBodies[0], rows, (row) => row, makeTotal, (child, row) => {
        const [, perSecond, packets, size] = child.cells;
        const count = totalOf(sample, row);
        setNumber(packets, whole(count.packets), count.packets);
        if (count.bytes !== null) {
            setNumber(size, bytes(count.bytes), count.bytes);
        }
        showRate(perSecond, since, count.packets, (before) => totalOf(before, row).packets);
    });
}

/** Shows what was dropped and why. `explanations` has a sentence for each reason. */
export function showDrops(sample, since, explanations) {
    // The most frequent first: an order that does not change from second to second.
    const reasons = Object.entries(sample.traffic.dropped).sort(([, a], [, b]) => b.packets - a.packets);
    byId("drops-empty").hidden = reasons.length > 0;
    byId("drops-scroll").hidden = reasons.length === 0;
    const name = ([reason]) => reason;
    keepChildren(byId("drops").tBodies[0], reasons, name, ([reason]) => makeDrop(reason, explanations), (child, [reason, count]) => {
        const [, , perSecond, packets] = child.cells;
        setNumber(packets, whole(count.packets), count.packets);
        showRate(perSecond, since, count.packets, (before) => before.traffic.dropped[reason]?.packets ?? 0);
    });
}

function showRate(cell, since, now, packetsIn) {
    if (since === null) {
        setText(cell, "–");
        return;
    }
    const value = Math.max(0, now - packetsIn(since.before)) / since.seconds;
    setNumber(cell, rate(value), value);
    setAttribute(cell, "data-idle", value === 0);
}

function totalOf(sample, row) {
    return row === "lost" ? { packets: sample.lost, bytes: null } : countOf(sample.traffic, row);
}

function makeTotal(row) {
    const swatch = svg("svg", { width: 10, height: 10, class: "swatch", "aria-hidden": "true" },
        svg("rect", { width: 10, height: 10, rx: 2, class: `area ${row}` }));
    const heading = element("th", { scope: "row" }, swatch, row === "lost" ? "lost on the way" : VERDICT_NAMES[row]);
    const cells = ["packets-per-second", "packets", "bytes"].map((unit) => element("td", { "data-verdict": row, "data-unit": unit }, "–"));
    return element("tr", { class: row }, heading, ...cells);
}

function makeDrop(reason, explanations) {
    const cells = ["packets-per-second", "packets"].map((unit) => element("td", { "data-reason": reason, "data-unit": unit }, "–"));
    return element("tr", {}, element("th", { scope: "row" }, element("code", {}, reason)),
        element("td", { class: "explanation" }, explanations[reason] ?? ""), ...cells);
}
