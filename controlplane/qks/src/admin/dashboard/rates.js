// Key rates over time: counters become rates, and rates a plot.

import uPlot from "./uplot/uPlot.esm.js";
import { colors, timeChart } from "./chart.js";
import { byId, element, keepChildren, setAttribute, setText, svg } from "./dom.js";
import { bitRate, rate, timeOfDay } from "./format.js";

/** The rates of all links, and their plot. */
export class KeyRates {
    /** Seconds since 1970, and for each link a rate in bits per second at each; null where nothing is known. */
    #times = [];
    #lines = new Map();
    /** What the last seconds' samples counted. */
    #counted = [];
    #plot = null;
    #plotted = "";
    #span = 300;
    #hidden = new Set();

    constructor() {
        new ResizeObserver(() => this.#resize()).observe(byId("plot"));
        // The canvas has its colours from the style sheet, which has them from the scheme.
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
    }

    /** Takes note of a sample. Returns the rate of each link over the last ten seconds, by its name. */
    add(sample) {
        const now = sample.at_unix_ms / 1000;
        const counts = Object.fromEntries(sample.links.map((link) => [link.id, link.taken_in_bytes]));
        this.#counted = this.#counted.filter(({ time }) => time > now - OVER_S - 0.5 && time < now);
        const before = this.#counted[0];
        this.#counted.push({ time: now, counts });
        const rates = {};
        for (const [id, count] of Object.entries(counts)) {
            const then = before?.counts[id];
            // Over less than a few seconds it would be chance; and after a restart it counts from zero.
            rates[id] = then === undefined || count < then || now - before.time < LEAST_S ? null : (8 * (count - then)) / (now - before.time);
        }
        // A gap is shown as one.
        const last = this.#times.at(-1);
        if (last !== undefined && now - last > LONGEST_STEP_S) {
            this.#push(last + 1, {});
        }
        if (last === undefined || now > last) {
            this.#push(now, rates);
        }
        this.#refresh();
        return rates;
    }

    /** Puts what the server remembers before what was heard. */
    load({ samples }) {
        const heard = this.#times[0] ?? Infinity;
        const old = samples.map(({ at, links }) => ({ time: Date.parse(at) / 1000, links })).filter(({ time }) => time < heard);
        for (const { links } of old) {
            links.forEach(({ id }) => this.#line(id));
        }
        this.#times.unshift(...old.map(({ time }) => time));
        for (const [id, line] of this.#lines) {
            line.unshift(...old.map(({ links }) => links.find((link) => link.id === id)?.key_bits_per_second ?? null));
        }
        this.#refresh();
    }

    /** Forgets what was heard. */
    forget() {
        this.#times = [];
        this.#lines.clear();
        this.#counted = [];
        this.#refresh();
    }

    /** Plots so many seconds. */
    setSpan(seconds) {
        this.#span = seconds;
        this.#refresh();
    }

    /** The line of a link, as long as all others. */
    #line(id) {
        if (!this.#lines.has(id)) {
            this.#lines.set(id, new Array(this.#times.length).fill(null));
        }
        return this.#lines.get(id);
    }

    #push(now, rates) {
        Object.keys(rates).forEach((id) => this.#line(id));
        this.#times.push(now);
        for (const [id, line] of this.#lines) {
            line.push(rates[id] ?? null);
        }
        const old = this.#times.findIndex((time) => time >= now - LONGEST_SPAN_S);
        if (old > 0) {
            this.#times.splice(0, old);
            this.#lines.forEach((line) => line.splice(0, old));
        }
    }

    #refresh() {
        const links = [...this.#lines.keys()].join(" ");
        if (this.#plot === null || links !== this.#plotted) {
            this.#rebuild();
        } else {
            this.#plot.setData(this.#columns());
        }
        this.#showLegend();
    }

    #columns() {
        return [this.#times, ...this.#lines.values()];
    }

    #rebuild() {
        const container = byId("plot");
        if (container.clientWidth === 0) {
            return;
        }
        this.#plot?.destroy();
        this.#plotted = [...this.#lines.keys()].join(" ");
        const color = colors();
        const lines = [...this.#lines.keys()].map((id, index) => ({
            label: id,
            show: !this.#hidden.has(id),
            stroke: color(look(index).color),
            dash: look(index).dash,
        }));
        const options = timeChart(container, {
            span: () => this.#bounds(),
            range: fromZero,
            format: rate,
            lines,
            onCursor: () => this.#showLegend(),
        });
        this.#plot = new uPlot(options, this.#columns(), container);
    }

    #resize() {
        const { clientWidth: width, clientHeight: height } = byId("plot");
        if (this.#plot === null) {
            this.#rebuild();
        } else if (width > 0) {
            this.#plot.setSize({ width, height });
        }
    }

    #bounds() {
        const now = this.#times.at(-1) ?? Date.now() / 1000;
        return [now - this.#span, now];
    }

    /** Shows the numbers under the cursor, else the latest. */
    #showLegend() {
        const index = this.#plot?.cursor.idx ?? this.#times.length - 1;
        const items = ["", ...this.#lines.keys()];
        keepChildren(byId("legend"), items, (item) => `link ${item}`, (item) => this.#makeLegendItem(item), (child, item) => {
            if (item === "") {
                setText(child, this.#times[index] === undefined ? "" : timeOfDay(this.#times[index] * 1000));
                return;
            }
            setAttribute(child.firstElementChild, "aria-pressed", !this.#hidden.has(item));
            const value = this.#lines.get(item)[index] ?? null;
            setText(child.querySelector("[data-legend]"), value === null ? "–" : bitRate(value));
        });
    }

    #makeLegendItem(id) {
        if (id === "") {
            return element("li", { class: "when" });
        }
        const { color, dash } = look([...this.#lines.keys()].indexOf(id));
        const line = svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, class: `line ${color}`, "stroke-dasharray": dash.join(" ") });
        const value = element("span", { "data-legend": id, class: "number" }, "–");
        const button = element("button", { type: "button", class: "series", title: "Show or hide this line" },
            svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, line), id, value);
        button.addEventListener("click", () => {
            const hide = !this.#hidden.has(id);
            this.#hidden[hide ? "add" : "delete"](id);
            this.#plot?.setSeries(1 + [...this.#lines.keys()].indexOf(id), { show: !hide });
            this.#showLegend();
        });
        return element("li", {}, button);
    }
}

/** From nothing to a little more than the largest value. */
function fromZero(_plot, _least, most) {
    return [0, Math.max(1000, (most ?? 0) * 1.05)];
}

/** Each line differs in more than its colour. */
function look(index) {
    return { color: COLORS[index % COLORS.length], dash: DASHES[index % DASHES.length] };
}

const COLORS = ["blue", "green", "yellow", "pink", "red"];
const DASHES = [[], [12, 4], [2, 3], [8, 3, 2, 3], [5, 3], [14, 3, 2, 3]];
/** Material comes in blocks, some of which take seconds. */
const OVER_S = 10;
const LEAST_S = 4;
/** The server remembers a sample for each ten seconds; a longer step is a gap. */
const LONGEST_STEP_S = 15;
const LONGEST_SPAN_S = 6 * 3600;
