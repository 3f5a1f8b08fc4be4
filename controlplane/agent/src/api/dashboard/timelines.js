// The key epochs of each peer on a common axis of time, degraded peers first.
//
// There may be 100,000 peers, so pages of them are asked for: as many as are looked at, and those anew from time to time.

import { byId, element, keepChildren, setAttribute, setText, svg } from "./dom.js";
import { duration, instant, parseInstant, whole } from "./format.js";
import { describeDegraded } from "./overview.js";

/** The list of peers with their keys. It asks nothing until it is started. */
export class Timelines {
    #api = null;
    #clock;
    #peers = [];
    #wanted = PAGE;
    #axis = EMPTY_AXIS;
    #attempt = 0;
    #timer = null;
    #lists = "";

    /** `clock()` is the filter's time, in milliseconds since 1970. */
    constructor(clock) {
        this.#clock = clock;
        byId("peer-search").addEventListener("input", () => this.#loadAnew(TYPING_MS));
        byId("peer-degraded").addEventListener("change", () => this.#loadAnew(0));
        byId("peer-span").addEventListener("change", () => this.#draw());
        byId("peers-more").addEventListener("click", () => {
            this.#wanted += PAGE;
            this.#load();
        });
    }

    /** Asks `api` for peers from the next sample on. */
    start(api) {
        this.#api = api;
        this.#lists = "";
        this.#wanted = PAGE;
    }

    /** Asks nobody any more. */
    stop() {
        this.#api = null;
        this.#attempt += 1;
        clearTimeout(this.#timer);
        this.#show({ peers: [], total: 0, more: false });
    }

    /** Moves the bars on, and asks again if the sample says that there is something new. */
    tick(sample) {
        const { degraded, dark } = sample.peers;
        const lists = `${sample.as_list_generation} ${degraded} ${dark}`;
        if (lists !== this.#lists) {
            this.#lists = lists;
            this.#schedule(0);
        }
        this.#draw();
    }

    #loadAnew(delay) {
        this.#wanted = PAGE;
        this.#schedule(delay);
    }

    #schedule(delay) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#load(), delay);
    }

    async #load() {
        if (this.#api === null) {
            return;
        }
        const attempt = (this.#attempt += 1);
        clearTimeout(this.#timer);
        let refresh = REFRESH_MS;
        try {
            const found = document.hidden ? null : await this.#ask();
            if (attempt !== this.#attempt) {
                return;
            }
            if (found !== null) {
                this.#show(found);
                refresh = this.#untilNextChange();
            }
        } catch (error) {
            if (attempt !== this.#attempt) {
                return;
            }
            // If the filter does not answer at all, the page says so elsewhere, and what was known stays.
            if (!(error instanceof TypeError)) {
                this.#show({ peers: [], total: 0, more: false });
                setText(byId("peers-empty"), `The peers cannot be shown: ${error.message}`);
            }
        }
        this.#schedule(refresh);
    }

    /** As many peers as are wanted: `{ peers, total, more }`. */
    async #ask() {
        const search = byId("peer-search").value.trim();
        const found = new Map();
        let total = 0;
        let next = null;
        for (const degraded of byId("peer-degraded").checked ? [true] : [true, false]) {
            next = null;
            do {
                const page = await this.#api.get("peers", {
                    limit: PAGE,
                    ...(degraded && { degraded }),
                    ...(search !== "" && { search }),
                    ...(next !== null && { after: next }),
                });
                page.peers.forEach((peer) => found.set(keyOf(peer), peer));
                ({ total, next } = page);
            } while (next !== null && found.size < this.#wanted);
        }
        const peers = Array.from(found.values()).slice(0, this.#wanted);
        return { peers, total, more: peers.length < total };
    }

    #show({ peers, total, more }) {
        this.#peers = peers;
        this.#axis = fittingAxis(peers, this.#clock());
        byId("peers-more").hidden = !more;
        byId("peers-axis").hidden = peers.length === 0;
        const empty = byId("peers-empty");
        empty.hidden = peers.length > 0;
        setText(empty, emptyText());
        setText(byId("peers-count"), peers.length === 0 ? "" : `${whole(peers.length)} of ${whole(total)} shown`);
        this.#draw();
    }

    #draw() {
        const now = this.#clock();
        const chosen = Number(byId("peer-span").value) * 1000;
        // More of what is to come than of what has been.
        const axis = chosen > 0 ? { before: chosen / 4, after: (chosen * 3) / 4 } : this.#axis;
        drawAxis(axis);
        keepChildren(byId("peers"), this.#peers, keyOf, makeRow, (row, peer) => drawRow(row, peer, axis, now));
    }

    /** How long what is shown stays true. */
    #untilNextChange() {
        const now = this.#clock();
        const changes = this.#peers.flatMap(({ keys }) => [keys.next_fetch_at, ...CONTAINERS.map(({ field }) => keys[field]?.end)]);
        const waits = changes.map((text) => (parseInstant(text) ?? 0) + SETTLED_MS - now).filter((wait) => wait > 0);
        return Math.max(SOONEST_MS, Math.min(REFRESH_MS, ...waits));
    }
}

/** An axis that has room for all keys of `peers`: milliseconds before and after now, rounded so that it seldom changes. */
function fittingAxis(peers, now) {
    const spans = peers.flatMap(({ keys }) => CONTAINERS.map(({ field }) => spanOf(keys[field])).filter((span) => span !== null));
    if (spans.length === 0) {
        return EMPTY_AXIS;
    }
    const reach = (distances) => Math.min(longest(distances), LONGEST_AXIS_MS);
    const after = roundUp(reach(spans.map(({ end }) => end - now)));
    // A long past would leave no room for what is to come.
    return { before: Math.min(roundUp(reach(spans.map(({ start }) => now - start))), after), after };
}

function longest(numbers) {
    return numbers.reduce((most, number) => Math.max(most, number), 0);
}

function roundUp(milliseconds) {
    return AXIS_STEPS_MS.find((step) => step >= milliseconds) ?? milliseconds;
}

function drawAxis({ before, after }) {
    const step = AXIS_STEPS_MS.find((candidate) => candidate * MOST_TICKS >= before + after) ?? LONGEST_AXIS_MS;
    const ticks = [];
    for (let at = -Math.floor(before / step) * step; at <= after; at += step) {
        ticks.push(at);
    }
    const label = (at) => (at === 0 ? "now" : `${at < 0 ? "−" : "+"}${duration(Math.abs(at))}`);
    keepChildren(byId("peers-axis"), ticks, (at) => at, (at) => element("span", {}, label(at)), (child, at) => {
        child.style.setProperty("--at", String((at + before) / (before + after)));
    });
}

function makeRow(peer) {
    const lines = svg("svg", { class: "timeline", role: "img", height: 40 });
    lines.append(svg("rect", { class: "lane", x: 0, y: 1, width: "100%", height: 18 }));
    lines.append(svg("rect", { class: "lane", x: 0, y: 21, width: "100%", height: 18 }));
    for (const { field, top } of CONTAINERS) {
        lines.append(svg("rect", { "data-container": field, y: top, height: 7, rx: 2 }, svg("title")));
    }
    lines.append(svg("line", { class: "now", y1: 0, y2: 40 }));
    const part = (name, what, attributes = {}) => element(name, { "data-part": what, ...attributes });
    return element("li", { "data-peer": peer.isd_as, "data-protocol": peer.drkey_protocol },
        element("div", { class: "who" }, element("strong", {}, peer.isd_as), part("small", "name")),
        lines,
        element("dl", { class: "left" },
            element("dt", {}, "in"), part("dd", "inbound"),
            element("dt", {}, "out"), part("dd", "outbound"),
            element("dt", {}, "fetch"), part("dd", "fetch")),
        part("p", "trouble", { class: "trouble" }));
}

function drawRow(row, peer, axis, now) {
    const part = (what) => row.querySelector(`[data-part="${what}"]`);
    const { keys, degraded } = peer;
    const words = [peer.name, `protocol ${peer.drkey_protocol}`, encapsulationOf(peer)];
    setText(part("name"), words.filter((word) => word !== null).join(" · "));
    setAttribute(row, "data-degraded", degraded !== null);
    const said = degraded === null ? null : describeDegraded(degraded, now);
    setText(part("trouble"), said === null ? "" : `${said.dark}: ${said.reason}`);

    const left = (direction) => leftOf([keys[direction], keys[`${direction}_old`]], now);
    setText(part("inbound"), left("inbound"));
    setText(part("outbound"), left("outbound"));
    const fetch = parseInstant(keys.next_fetch_at);
    setText(part("fetch"), fetch === null ? "–" : `in ${duration(fetch - now)}`);

    const lines = row.querySelector(".timeline");
    setAttribute(lines, "aria-label", `Keys of ${peer.isd_as}: inbound ${left("inbound")}, outbound ${left("outbound")}`);
    const place = (at) => 100 * Math.min(1, Math.max(0, (at - now + axis.before) / (axis.before + axis.after)));
    for (const { field, direction } of CONTAINERS) {
        drawBar(lines.querySelector(`[data-container="${field}"]`), spanOf(keys[field]), { field, direction, place, now });
    }
    const line = lines.querySelector(".now");
    setAttribute(line, "x1", percent(place(now)));
    setAttribute(line, "x2", percent(place(now)));
}

function drawBar(bar, span, { field, direction, place, now }) {
    if (span === null) {
        setAttribute(bar, "class", "absent");
        setAttribute(bar, "width", 0);
        return;
    }
    const phase = span.start > now ? "next" : span.end <= now ? "ended" : "current";
    setAttribute(bar, "class", `bar ${direction} ${phase}`);
    setAttribute(bar, "x", percent(place(span.start)));
    setAttribute(bar, "width", percent(place(span.end) - place(span.start)));
    setText(bar.firstElementChild, `${field.replace("_", ", ")}: ${instant(span.start)} to ${instant(span.end)}`);
}

function percent(number) {
    return `${number.toFixed(2)}%`;
}

/** For how long there are keys for one direction, without a gap. */
function leftOf(epochs, now) {
    const spans = epochs.map(spanOf).filter((span) => span !== null).sort((a, b) => a.start - b.start);
    let covered = now;
    for (const { start, end } of spans) {
        if (start <= covered && end > covered) {
            covered = end;
        }
    }
    return covered === now ? "no key" : `${duration(covered - now)} left`;
}

function spanOf(epoch) {
    const [start, end] = [parseInstant(epoch?.start), parseInstant(epoch?.end)];
    return start === null || end === null ? null : { start, end };
}

function emptyText() {
    const search = byId("peer-search").value.trim();
    if (search !== "") {
        return `No peer matches “${search}”.`;
    }
    return byId("peer-degraded").checked ? "No peer is degraded." : "No peers: the AS list is empty.";
}

/** What packets to the peer are put into, and what is accepted from it if that is not the same. */
function encapsulationOf({ encapsulation, accept }) {
    return accept.length === 1 && accept[0] === encapsulation ? encapsulation : `${encapsulation}, accepts ${accept.join(" and ")}`;
}

function keyOf(peer) {
    return `${peer.isd_as}/${peer.drkey_protocol}`;
}

/** The four containers: newest and old of each direction, one below the other, since old and new may overlap. */
const CONTAINERS = [
    { field: "inbound", direction: "inbound", top: 2 },
    { field: "inbound_old", direction: "inbound", top: 11 },
    { field: "outbound", direction: "outbound", top: 22 },
    { field: "outbound_old", direction: "outbound", top: 31 },
];

/** How many peers are asked for at a time. */
const PAGE = 25;
const REFRESH_MS = 10_000;
const SOONEST_MS = 2_000;
/** So long after a key ends or is fetched, the filter has put the next one in its place. */
const SETTLED_MS = 500;
/** After so long without a key stroke somebody has typed what they look for. */
const TYPING_MS = 250;

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];
/** What is shown where there are no keys. */
const EMPTY_AXIS = { before: MINUTE, after: MINUTE };
const AXIS_STEPS_MS = [
    ...[1, 2, 5, 10, 15, 30].map((count) => count * SECOND),
    ...[1, 2, 5, 10, 15, 30].map((count) => count * MINUTE),
    ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
    ...[1, 2, 3, 4, 7, 14, 30, 60, 90, 180, 365].map((count) => count * DAY),
];
const LONGEST_AXIS_MS = AXIS_STEPS_MS.at(-1);
const MOST_TICKS = 6;
