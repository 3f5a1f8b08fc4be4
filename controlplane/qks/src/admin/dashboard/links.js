// The table of links and their sources.

import { byId, element, keepChildren, setAttribute, setNumber, setText } from "./dom.js";
import { bitRate, bytes, share } from "./format.js";

/** Shows the links; `rates` has the key rate of each in bits per second, by its name, or null. */
export function showLinks(links, rates) {
    const rows = links.flatMap((link) => sourcesOf(link).map((source, index) => ({ link, source, index })));
    byId("links-empty").hidden = rows.length > 0;
    const key = ({ link, source, index }) => `${link.id}/${source === DETACHED ? "" : index}`;
    keepChildren(byId("links").tBodies[0], rows, key, makeRow, (child, { link, source, index }) => {
        const cell = (unit) => child.querySelector(`[data-unit="${unit}"]`);
        const [phase, text] = describe(source);
        setAttribute(cell("phase"), "data-phase", phase);
        setText(cell("phase").querySelector("span"), text);
        setText(cell("phase").querySelector("small"), source.reason ?? "");
        if (index === 0) {
            show(cell("rate"), rates[link.id] ?? null, bitRate);
        }
        const quality = source.quality;
        show(cell("qber"), quality && quality.sifted_bits > 0 ? quality.qber : null, share);
        show(cell("sifted"), quality && quality.sifted_bits_per_second, bitRate);
        show(cell("secret"), quality && quality.secret_bits_per_second, bitRate);
        show(cell("leaked"), quality && quality.leaked_bits, (value) => bytes(value / 8));
        setAttribute(cell("qber"), "data-bad", phase === "alarm");
    });
}

/** The sources of a link: a link that is detached has none, and gets a row all the same. */
function sourcesOf({ attached, sources }) {
    return attached ? sources : [DETACHED];
}

/** What a source does, for programs and for people. */
function describe({ phase }) {
    return [phase, { starting: "starting", producing: "keys come", waiting: "waiting", alarm: "alarm" }[phase] ?? phase];
}

function show(cell, value, format) {
    if (value === null || value === undefined) {
        setText(cell, "–");
        cell.removeAttribute("data-value");
    } else {
        setNumber(cell, format(value), value);
    }
}

function makeRow({ link, source, index }) {
    const data = { "data-link": link.id, "data-source": index };
    const cell = (unit, ...children) => element("td", { ...data, "data-unit": unit }, ...children);
    const name = element("th", { scope: "row" });
    if (index === 0) {
        name.append(link.id, " ", element("small", {}, `to ${link.neighbour}`));
    }
    return element("tr", {}, name, element("td", { class: "text" }, element("code", {}, source.kind)),
        element("td", { ...data, "data-unit": "phase", class: "text phase" }, element("span"), " ", element("small")),
        cell("rate"), cell("qber"), cell("sifted"), cell("secret"), cell("leaked"));
}

const DETACHED = { kind: "–", phase: "detached", reason: null, quality: null };
